// How the console says what it shows: an alert's value against its limit, its state, a drone's fix.

import { bearing, clockUTC, counter, duration, grouped, number, place } from "../shared/format.js";

export const letters = { critical: "C", warning: "W", info: "I" };
const units = { battery_pct: "%", ground_speed_mps: "m/s", temperature_air_c: "°C", wind_speed_mps: "m/s" };

/** "12.5 < 20": what was measured against what the rule allows. */
export function valueAgainstLimit(alert) {
  const { value, limit } = alert;
  if (!Number.isFinite(value)) return Number.isFinite(limit) ? `limit ${number(limit)}` : "–";
  if (!Number.isFinite(limit)) return number(value);
  return `${number(value)} ${value < limit ? "<" : value > limit ? ">" : "="} ${number(limit)}`;
}

export function stateWords(alert, now) {
  if (alert.state === "raised") return "unseen";
  if (alert.state === "acknowledged") return "seen";
  if (alert.state === "closed") return { confirmed: "confirmed", false_alarm: "false alarm" }[alert.outcome]
    ?? "closed";
  const until = Date.parse(alert.shelved_until ?? "");
  return Number.isFinite(until) ? `shelved ${counter((until - now) / 1000)}` : "shelved";
}

/** Where it is: as seen from the station where that is known, and in degrees. */
export function placeWords(where, station) {
  if (!where) return { short: "no position", long: "the drone had no fix" };
  const degrees = place(where.lat, where.lon);
  return station ? { short: bearing(station, where), long: degrees } : { short: degrees, long: "" };
}

const fixes = ["no GPS", "no fix", "2D", "3D", "DGPS", "RTK~", "RTK"];

export function fixWords(drone) {
  if (!drone.located) return "no fix";
  const type = fixes[drone.gps_fix_type] ?? "fix ?";
  return Number.isFinite(drone.gps_satellites) ? `${type} · ${drone.gps_satellites}` : type;
}

/** "12,431 waiting · oldest 14 min · room for 9 days · last success 14:02:10 · next try in 8 s" */
export function uplinkWords(status, now) {
  const { buffer, uplink } = status;
  const parts = [`${grouped(buffer.waiting)} waiting`];
  if (buffer.oldest) parts.push(`oldest ${duration((now - Date.parse(buffer.oldest)) / 1000)}`);
  if (buffer.hours_left !== null) parts.push(`room for ${duration(buffer.hours_left * 3600)}`);
  if (uplink.state === "standalone") return [...parts, "stand-alone: everything stays here"].join(" · ");
  parts.push(uplink.last_success ? `last success ${clockUTC(Date.parse(uplink.last_success))}`
    : "central not reached yet");
  if (uplink.failures_in_a_row > 0) parts.push(`next try in ${Math.ceil(uplink.next_try_in_s ?? 0)} s`);
  return parts.join(" · ");
}

export function readingWords(name, value) {
  return `${number(value)}${units[name] ? ` ${units[name]}` : ""}`;
}
