-- title: Coverage map
-- description: Which cells were watched in the period: reports, drones, first and last look, and the cell's box.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included
-- param cell_length integer = 5: Characters of the geohash cell, 1 to 7; 5 is about 5 km × 5 km
-- column cell: Geohash cell
-- column south [deg]: The cell's box
-- column west [deg]: The cell's box
-- column north [deg]: The cell's box
-- column east [deg]: The cell's box
-- column reports [reports]: Reports
-- column drones [drones]: Different drones
-- column first_seen: First report of the period, UTC
-- column last_seen: Last report of the period, UTC
-- plot: map south=south west=west north=north east=east colour=reports
with cells as (
    select left(cell, $cell_length) as cell, count(*) as reports, count(distinct drone_id) as drones,
        min(report_time(observed_at, received_at, time_suspect)) as first_seen,
        max(report_time(observed_at, received_at, time_suspect)) as last_seen
    from reports
    where in_period(date, observed_at, received_at, time_suspect, $from, $to)
    group by 1
)
select cell, box.south, box.west, box.north, box.east, reports, drones, first_seen, last_seen
from (select *, cell_bounds(cell) as box from cells)
order by cell
