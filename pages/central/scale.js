// Scales and their ticks, as people count: 1, 2, 5; seconds, minutes, hours, days, months.

const second = 1_000;
const day = 86_400 * second;
const steps = [1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800]
  .map((seconds) => seconds * second);

/** A linear scale: value → pixel. */
export function linear([low, high], [start, end]) {
  const span = high - low || 1;
  const scale = (value) => start + ((value - low) / span) * (end - start);
  scale.invert = (pixel) => low + ((pixel - start) / (end - start || 1)) * span;
  return Object.assign(scale, { low, high });
}

/** About `count` round values from low to high. */
export function ticks(low, high, count = 4) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high
    + step * 1e-9; index += 1) found.push(index * step);
  return found;
}

/** The end of an axis: the next round value. */
export function nice(high, count = 4) {
  if (!(high > 0)) return 1;
  const step = ticks(0, high, count)[1] ?? high;
  return Math.ceil(high / step - 1e-9) * step;
}

/** Times in UTC for an axis, with what is written there: [{at, text}]. */
export function timeTicks(from, to, count = 8) {
  const span = to - from;
  const step = steps.find((length) => span / length <= count);
  if (!step) return monthTicks(from, to, count);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const date = new Date(at);
    const isMidnight = at % day === 0;
    found.push({ at, text: isMidnight ? dayText(date) : date.toISOString().slice(11, step < 60_000 ? 19 : 16),
      isMidnight });
  }
  return found;
}

function monthTicks(from, to, count) {
  const months = [1, 2, 3, 6, 12, 24, 60].find((length) => (to - from) / (length * 30.4 * day) <= count) ?? 120;
  const found = [];
  const date = new Date(from);
  date.setUTCDate(1);
  date.setUTCHours(0, 0, 0, 0);
  date.setUTCMonth(0);
  for (; date.getTime() <= to; date.setUTCMonth(date.getUTCMonth() + months)) {
    if (date.getTime() < from) continue;
    found.push({ at: date.getTime(), text: date.toISOString().slice(0, months >= 12 ? 4 : 7), isMidnight: true });
  }
  return found;
}

const monthNames = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function dayText(date) {
  return `${date.getUTCDate()} ${monthNames[date.getUTCMonth()]}`;
}

/** 1200 → 1.2k, for axes. */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${trim(value / 1e9)}G`;
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e3) return `${trim(value / 1e3)}k`;
  if (size === 0) return "0";
  return size < 0.001 ? value.toExponential(0) : trim(value);
}

function trim(value) {
  return String(Number(value.toPrecision(3)));
}
