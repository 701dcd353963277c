-- title: Busiest cells
-- description: The cells with most reports in the period.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included
-- param cell_length integer = 6: Characters of the geohash cell, 1 to 7; 6 is about 1.2 km × 0.6 km
-- param top integer = 50: How many cells
-- column cell: Geohash cell
-- column lat [deg]: Middle of the cell
-- column lon [deg]: Middle of the cell
-- column reports [reports]: Reports
-- column share [1]: Of all reports of the period
-- column drones [drones]: Different drones
-- plot: map lat=lat lon=lon size=reports
with cells as (
    select left(cell, $cell_length) as cell, count(*) as reports, count(*) / sum(count(*)) over () as share,
        count(distinct drone_id) as drones
    from reports
    where in_period(date, observed_at, received_at, time_suspect, $from, $to)
    group by 1
    order by reports desc, cell
    limit $top
)
select cell, cell_lat(cell) as lat, cell_lon(cell) as lon, reports, share, drones
from cells
order by reports desc, cell
