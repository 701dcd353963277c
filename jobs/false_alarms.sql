-- Of each rule's closed alerts, how many were false, over the last thirty days
-- schedule: @daily
-- inputs: alerts
-- table: false_alarms
SELECT
    rule,
    count(DISTINCT alert_id) AS closed,
    count(DISTINCT alert_id) FILTER (outcome = 'false_alarm') AS false_alarms,
    count(DISTINCT alert_id) FILTER (outcome = 'false_alarm') / count(DISTINCT alert_id) AS rate
FROM (
    -- The rule stands with the alert, the outcome with the change that closed it.
    SELECT a.rule, a.alert_id, s.outcome
    FROM alerts AS a JOIN alerts AS s USING (alert_id)
    WHERE a.kind = 'alert' AND s.kind = 'alert_state' AND s.state = 'closed'
      AND s.date >= (scheduled_at() - INTERVAL 30 DAY)::DATE
)
GROUP BY rule
