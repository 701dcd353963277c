-- Reports, drones and sightings of the past hour, by relay
-- schedule: every 1h at :05
-- inputs: reports
-- table: hourly_by_relay
-- mode: append
-- catch_up: all
SELECT
    period_start() AS hour,
    relay_id,
    count(*) AS reports,
    count(DISTINCT drone_id) AS drones,
    sum(len(citizens)) AS sightings,
    count(*) FILTER (late) AS late,
    quantile_cont(epoch_ms(archived_at) - epoch_ms(received_at), 0.99) / 1000 AS archived_after_s_p99
FROM reports
-- Five minutes are left for what relays send late; what comes later still is in reports, not here.
WHERE date >= (period_start() - INTERVAL 1 DAY)::DATE
  AND received_at >= period_start() - INTERVAL 5 MINUTE AND received_at < period_end() - INTERVAL 5 MINUTE
GROUP BY relay_id
