// Times, numbers and places as people read them. Everything takes plain values and gives plain text.

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

/** 12,431 */
export function grouped(value) {
  return Number.isFinite(value) ? whole.format(value) : "–";
}

/** Up to so many digits after the point, none that say nothing: 12.5 */
export function number(value, digits = 2) {
  if (!Number.isFinite(value)) return "–";
  return new Intl.NumberFormat("en-GB", { maximumFractionDigits: digits }).format(value);
}

/** 1.4 GiB */
export function bytes(value) {
  if (!Number.isFinite(value)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let step = 0;
  let size = value;
  while (size >= 1024 && step < units.length - 1) {
    size /= 1024;
    step += 1;
  }
  return `${step === 0 ? size : size.toFixed(size < 10 ? 1 : 0)} ${units[step]}`;
}

/** "14 min", in the largest unit that still says something. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const rest = Math.max(0, seconds);
  if (rest < 120) return `${Math.floor(rest)} s`;
  if (rest < 7_200) return `${Math.floor(rest / 60)} min`;
  if (rest < 172_800) return `${Math.floor(rest / 3_600)} h`;
  return rest < 315_360_000 ? `${grouped(Math.floor(rest / 86_400))} days` : "years";
}

/** A counter that ticks: 0:07, 12:45, 3:02:11, 2 d 4 h */
export function counter(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const rest = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  if (rest < 3_600) return `${Math.floor(rest / 60)}:${two(rest % 60)}`;
  if (rest < 86_400) return `${Math.floor(rest / 3_600)}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`;
  return `${Math.floor(rest / 86_400)} d ${Math.floor(rest / 3_600) % 24} h`;
}

/** Milliseconds since 1970 of an RFC 3339 time; NaN where there is none. */
export function milliseconds(time) {
  return time ? Date.parse(time) : NaN;
}

/** The same in microseconds: times of one relay can lie closer together than a millisecond. */
export function microseconds(time) {
  const base = milliseconds(time);
  const fraction = /\.(\d+)/.exec(time ?? "")?.[1] ?? "";
  return base * 1000 + Number(fraction.slice(3, 6).padEnd(3, "0"));
}

/** 14:02:10 in UTC */
export function clockUTC(time) {
  return Number.isFinite(time) ? new Date(time).toISOString().slice(11, 19) : "–";
}

/** 14:02:10.123 in UTC */
export function preciseUTC(time) {
  return Number.isFinite(time) ? new Date(time).toISOString().slice(11, 23) : "–";
}

/** 2026-11-20 14:02:10 in UTC */
export function dateUTC(time) {
  return Number.isFinite(time) ? new Date(time).toISOString().slice(0, 19).replace("T", " ") : "–";
}

/** 15:02:10 where the reader is */
export function clockLocal(time) {
  if (!Number.isFinite(time)) return "–";
  return new Date(time).toLocaleTimeString("en-GB", { hour12: false });
}

/** 48.85661, 2.35222: five digits are a metre. */
export function place(latitude, longitude) {
  return `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;
}

const radians = Math.PI / 180;

/** Metres on the sphere; a drone's station is near. */
export function distance(from, to) {
  const a = Math.sin(((to.lat - from.lat) * radians) / 2) ** 2
    + Math.cos(from.lat * radians) * Math.cos(to.lat * radians) * Math.sin(((to.lon - from.lon) * radians) / 2) ** 2;
  return 2 * 6_371_008 * Math.asin(Math.sqrt(Math.min(1, a)));
}

const points = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];

/** "3.2 km NE": where `to` lies as seen from `from`. */
export function bearing(from, to) {
  const metres = distance(from, to);
  const east = Math.sin((to.lon - from.lon) * radians) * Math.cos(to.lat * radians);
  const north = Math.cos(from.lat * radians) * Math.sin(to.lat * radians)
    - Math.sin(from.lat * radians) * Math.cos(to.lat * radians) * Math.cos((to.lon - from.lon) * radians);
  const point = points[Math.round(Math.atan2(east, north) / radians / 45 + 8) % 8];
  const length = metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(metres < 10_000 ? 1 : 0)} km`;
  return metres < 1 ? "here" : `${length} ${point}`;
}
