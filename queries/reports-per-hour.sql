-- title: Reports per hour, relay and cell
-- description: How many reports were observed in each interval, through which relay and where, and how many were late.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included
-- param bucket interval = 1 hour: Length of an interval
-- param relay text = null: Only this relay
-- param cell_length integer = 3: Characters of the geohash cell, 1 to 7; 3 is about 156 km × 156 km
-- column time: Beginning of the interval, UTC
-- column relay_id: The relay that received the reports
-- column cell: Geohash cell
-- column reports [reports]: Reports
-- column drones [drones]: Different drones
-- column late [reports]: Reports that arrived more than 5 minutes after they were observed
-- plot: line x=time y=reports by=relay_id
select bucket($bucket, report_time(observed_at, received_at, time_suspect)) as time, relay_id,
    left(cell, $cell_length) as cell, count(*) as reports, count(distinct drone_id) as drones,
    count(*) filter (where late) as late
from reports
where in_period(date, observed_at, received_at, time_suspect, $from, $to) and ($relay is null or relay_id = $relay)
group by 1, 2, 3
order by 1, 2, 3
