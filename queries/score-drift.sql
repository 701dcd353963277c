-- title: Change of the peacescore over time and place
-- description: Mean and quantiles of the peacescore for each interval and cell, and how far the mean moved since the
-- description: interval before. Groups of too few different persons are left out, and no change is given next to one.
-- param from timestamp = -7d: Beginning
-- param to timestamp = now: End, not included
-- param bucket interval = 1 day: Length of an interval
-- param cell_length integer = 4: Characters of the geohash cell, 1 to 7; 4 is about 39 km × 20 km
-- column time: Beginning of the interval, UTC
-- column cell: Geohash cell
-- column sightings [sightings]: Citizens in reports
-- column persons [persons]: Different persons
-- column mean [points]: Mean peacescore of the sightings
-- column p05 [points]: 5 % are at or below
-- column median [points]: Half are at or below
-- column p95 [points]: 95 % are at or below
-- column change [points]: Mean minus the mean of the cell's interval before
-- plot: line x=time y=mean by=cell
-- people: persons
with groups as (
    select bucket($bucket, report_time(observed_at, received_at, time_suspect)) as time,
        left(cell, $cell_length) as cell, count(*) as sightings, count(distinct person_id) as persons,
        avg(peacescore) as mean, quantile_cont(peacescore, 0.05) as p05, median(peacescore) as median,
        quantile_cont(peacescore, 0.95) as p95
    from sightings
    where in_period(date, observed_at, received_at, time_suspect, $from, $to)
    group by 1, 2
)
select *, mean - lag(case when persons >= $smallest_group then mean end) over (partition by cell order by time) as change
from groups
order by cell, time
