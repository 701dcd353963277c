-- title: Delay from observation to archive
-- description: How long reports took from the drone's observation to the archive, for each interval and relay. Reports
-- description: of drones whose clock is suspect are left out.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included
-- param bucket interval = 1 day: Length of an interval
-- param relay text = null: Only this relay
-- column time: Beginning of the interval, UTC
-- column relay_id: The relay
-- column reports [reports]: Reports
-- column p50 [s]: Half took at most so long
-- column p95 [s]: 95 % took at most so long
-- column p99 [s]: 99 % took at most so long
-- column longest [s]: The slowest report
-- column relay_p95 [s]: 95 % reached the relay within so long
-- plot: line x=time y=p95 by=relay_id
select bucket($bucket, observed_at) as time, relay_id, count(*) as reports,
    quantile_cont(delay_s(observed_at, archived_at), 0.5) as p50,
    quantile_cont(delay_s(observed_at, archived_at), 0.95) as p95,
    quantile_cont(delay_s(observed_at, archived_at), 0.99) as p99,
    max(delay_s(observed_at, archived_at)) as longest,
    quantile_cont(delay_s(observed_at, received_at), 0.95) as relay_p95
from reports
where in_period(date, observed_at, received_at, time_suspect, $from, $to) and not time_suspect
    and ($relay is null or relay_id = $relay)
group by 1, 2
order by 1, 2
