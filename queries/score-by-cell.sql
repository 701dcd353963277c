-- title: Peacescore by cell
-- description: Where scores are low: sightings, persons and scores for each cell. Cells about too few different persons
-- description: are left out.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included
-- param cell_length integer = 5: Characters of the geohash cell, 1 to 7; 5 is about 5 km × 5 km
-- param below number = 20: Scores below this count as low
-- column cell: Geohash cell
-- column lat [deg]: Middle of the cell
-- column lon [deg]: Middle of the cell
-- column sightings [sightings]: Citizens in reports
-- column persons [persons]: Different persons
-- column mean [points]: Mean peacescore of the sightings
-- column low_share [1]: Share of the sightings with a low score
-- plot: map lat=lat lon=lon colour=mean size=sightings
-- people: persons
with groups as (
    select left(cell, $cell_length) as cell, count(*) as sightings, count(distinct person_id) as persons,
        avg(peacescore) as mean, count(*) filter (where peacescore < $below) / count(*) as low_share
    from sightings
    where in_period(date, observed_at, received_at, time_suspect, $from, $to)
    group by 1
)
select cell, cell_lat(cell) as lat, cell_lon(cell) as lon, sightings, persons, mean, low_share
from groups
order by mean, cell
