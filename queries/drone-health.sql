-- title: Health of drones
-- description: Battery, satellites and silence of each drone heard in the period.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included; silence is counted up to here
-- param drone text = null: Only this drone
-- column drone_id: The drone
-- column reports [reports]: Reports in the period
-- column relays [relays]: Relays it reported through
-- column last_heard: When it was heard last, UTC
-- column silent_s [s]: Since then
-- column longest_gap_s [s]: Longest silence between two reports of the period
-- column battery [%]: Last known charge
-- column battery_lowest [%]: Lowest charge of the period
-- column satellites_lowest [1]: Fewest satellites of the period
-- column suspect_clock [reports]: Reports with a suspect clock
-- plot: bar x=drone_id y=silent_s
with heard as (
    select drone_id, relay_id, time_suspect, readings['battery_pct'] as battery,
        readings['gps_satellites'] as satellites,
        report_time(observed_at, received_at, time_suspect) as time,
        lag(report_time(observed_at, received_at, time_suspect)) over (
            partition by drone_id order by report_time(observed_at, received_at, time_suspect)) as before
    from reports
    where in_period(date, observed_at, received_at, time_suspect, $from, $to) and ($drone is null or drone_id = $drone)
)
select drone_id, count(*) as reports, count(distinct relay_id) as relays, max(time) as last_heard,
    delay_s(max(time), $to) as silent_s, max(delay_s(before, time)) as longest_gap_s,
    arg_max(battery, time) filter (where battery is not null) as battery, min(battery) as battery_lowest,
    min(satellites) as satellites_lowest, count(*) filter (where time_suspect) as suspect_clock
from heard
group by drone_id
order by silent_s desc, drone_id
