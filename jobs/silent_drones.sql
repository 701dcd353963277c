-- Drones that reported in the last week but not in the last day, for the maintenance crew's spreadsheet
-- schedule: 0 6 * * *
-- inputs: reports
-- csv: maintenance/silent-drones
SELECT
    drone_id,
    max(observed_at) AS last_seen,
    arg_max(relay_id, observed_at) AS relay_id,
    arg_max(cell, observed_at) AS cell,
    arg_max(readings['battery_pct'], observed_at) AS battery_pct
FROM reports
WHERE date >= (scheduled_at() - INTERVAL 7 DAY)::DATE AND NOT time_suspect
GROUP BY drone_id
HAVING max(observed_at) < scheduled_at() - INTERVAL 1 DAY
ORDER BY last_seen
