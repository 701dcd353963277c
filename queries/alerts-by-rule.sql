-- title: Alerts by rule, with their false-alarm rate
-- description: How many alerts each rule raised, what became of them, and how many of those with an outcome of
-- description: confirmed or false_alarm were false alarms. An alert's outcome is the last one an operator gave.
-- param from timestamp = -7d: Beginning (when the alert was raised)
-- param to timestamp = now: End, not included
-- param relay text = null: Only this relay
-- column rule: Name of the rule
-- column severity: info, warning or critical
-- column raised [alerts]: Alerts raised in the period
-- column open [alerts]: Of those, not closed yet
-- column confirmed [alerts]: Outcome confirmed
-- column false_alarm [alerts]: Outcome false_alarm
-- column unknown [alerts]: Outcome unknown
-- column false_alarm_rate [1]: false_alarm / (confirmed + false_alarm); null without such outcomes
-- column close_s [s]: Median time from raising to closing
-- plot: bar x=rule y=raised
with raised as (
    select alert_id, any_value(rule) as rule, any_value(severity) as severity, min("at") as raised_at
    from alerts
    where kind = 'alert' and date between $from::date and $to::date and "at" >= $from and "at" < $to
        and ($relay is null or relay_id = $relay)
    group by alert_id
), settled as (
    select alert_id, arg_max(state, "at") as state, arg_max(outcome, "at") filter (where outcome is not null) as outcome,
        min("at") filter (where state = 'closed') as closed_at
    from alerts
    where kind = 'alert_state' and date >= $from::date
    group by alert_id
)
select rule, severity, count(*) as raised, count(*) filter (where coalesce(state, 'raised') <> 'closed') as open,
    count(*) filter (where outcome = 'confirmed') as confirmed,
    count(*) filter (where outcome = 'false_alarm') as false_alarm,
    count(*) filter (where outcome = 'unknown') as unknown,
    count(*) filter (where outcome = 'false_alarm')
        / nullif(count(*) filter (where outcome in ('confirmed', 'false_alarm')), 0) as false_alarm_rate,
    median(delay_s(raised_at, closed_at)) as close_s
from raised left join settled using (alert_id)
group by rule, severity
order by raised desc, rule, severity
