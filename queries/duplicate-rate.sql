-- title: Duplicates and conflicts
-- description: How many further copies of reports arrived, by day and by the relay they came through. A duplicate has
-- description: the same bytes as a report in the archive, a conflict the same number and other bytes.
-- param from timestamp = -7d: Beginning
-- param to timestamp = now: End, not included
-- param bucket interval = 1 day: Length of an interval
-- column time: Beginning of the interval, UTC
-- column relay_id: The relay
-- column reports [reports]: Reports in the archive that came through this relay
-- column duplicates [copies]: Further copies with the same bytes
-- column conflicts [copies]: Others with the same number
-- column rate [1]: (duplicates + conflicts) / (reports + duplicates + conflicts)
-- plot: line x=time y=rate by=relay_id
with copies as (
    select report_time(observed_at, received_at, time_suspect) as time, relay_id, 'report' as kind
    from reports
    where in_period(date, observed_at, received_at, time_suspect, $from, $to)
    union all
    select report_time(observed_at, received_at, time_suspect), relay_id, reason
    from duplicates
    where in_period(date, observed_at, received_at, time_suspect, $from, $to)
)
select bucket($bucket, time) as time, relay_id, count(*) filter (where kind = 'report') as reports,
    count(*) filter (where kind = 'duplicate') as duplicates, count(*) filter (where kind = 'conflict') as conflicts,
    count(*) filter (where kind <> 'report') / count(*) as rate
from copies
group by 1, 2
order by 1, 2
