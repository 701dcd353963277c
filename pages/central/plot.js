// One plot of one result: lines over time, bars over words or bands, places on a map. Drawn as SVG with classes, so
// that it follows the theme, prints, and can be taken along as SVG or PNG. Series differ by dash and mark as well as
// colour.

import { drawing, element, plain } from "../shared/dom.js";
import { milliseconds, number } from "../shared/format.js";
import { mapPlot } from "./plotmap.js";
import { linear, nice, short, ticks, timeTicks } from "./scale.js";

const mostBars = 40;
const mostSeries = 8;
/** More points than pixels say nothing. */
const mostPoints = 4_000;

/**
 * Draws into `holder` and gives the SVG, or null where there is nothing to draw.
 * @param how {kind: "line"|"bar"|"map"|"scatter", x, y, by, lat, lon, size, colour, south, …}: names of columns
 * @param answer {columns, rows}
 */
export function plot(holder, how, answer, { title = "", height = 340, labels = {} } = {}) {
  const width = Math.max(320, holder.clientWidth || 800);
  const rows = answer.rows ?? [];
  if (rows.length === 0) {
    holder.replaceChildren(element("p", { class: "empty" }, "No rows: nothing to draw. A wider time may have some."));
    return null;
  }
  const kinds = { line: linePlot, bar: barPlot, map: mapPlot, scatter: scatterPlot };
  const frame = { width, height, title, unit: unitOf(answer, labels) };
  const svg = (kinds[how.kind] ?? barPlot)(how, rows, frame);
  if (!svg) {
    holder.replaceChildren(element("p", { class: "empty" }, "These columns have no numbers to draw."));
    return null;
  }
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title || "Plot of the table below");
  holder.replaceChildren(svg);
  return svg;
}

/** `line x=time y=p95 by=relay_id` of a statistic's hint; for a table, bars of its first number. */
export function hintOf(text, columns) {
  const [kind, ...rest] = (text ?? "").split(" ");
  const how = { kind };
  for (const part of rest) {
    const [name, value] = part.split("=");
    if (value) how[name] = value;
  }
  return kind === "table" || !kind ? guess(columns, []) : how;
}

/** How a result could be drawn, from its columns' types. */
export function guess(columns, rows) {
  const isTime = (column) => /^(TIMESTAMP|DATE)/.test(column.type);
  const isNumber = (column) =>
    /^(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|UBIGINT|UINTEGER|DOUBLE|FLOAT|DECIMAL)/.test(column.type);
  const named = (name) => columns.find((column) => column.name === name && isNumber(column));
  if (named("lat") && named("lon")) return { kind: "map", lat: "lat", lon: "lon", size: named("reports")?.name };
  const time = columns.find(isTime);
  const numbers = columns.filter((column) => isNumber(column) && !["lat", "lon"].includes(column.name));
  const text = columns.find((column) => column.type === "VARCHAR" || column.type.startsWith("ENUM"));
  if (time && numbers.length > 0 && !text) return { kind: "line", x: time.name, y: numbers[0].name };
  if (time && numbers.length > 0) {
    const series = new Set(rows.map((row) => row[text.name])).size;
    return series <= mostSeries ? { kind: "line", x: time.name, y: numbers[0].name, by: text.name }
      : { kind: "bar", x: text.name, y: numbers[0].name };
  }
  if (text && numbers.length > 0) return { kind: "bar", x: text.name, y: numbers[0].name };
  if (numbers.length > 1) return { kind: "scatter", x: numbers[0].name, y: numbers[1].name };
  return numbers.length === 1 ? { kind: "bar", x: numbers[0].name, y: numbers[0].name } : null;
}

function unitOf(answer, labels) {
  const units = new Map((answer.columns ?? []).map((column) => [column.name, column.unit]));
  return (name) => labels[name] ?? (units.get(name) ? `${name} [${units.get(name)}]` : name ?? "");
}

// Lines

function linePlot(how, rows, { width, height, unit }) {
  const found = rows.map((row) => ({ x: xValue(row[how.x]), y: row[how.y], series: how.by ? text(row[how.by]) : "" }))
    .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y));
  if (found.length === 0) return null;
  const points = combined(found, unit(how.y));
  const [all, count] = seriesOf(points);
  const frame = { left: 64, right: 16, top: 12, bottom: 40 + legendHeight(all, width) };
  const [low, high] = extent(points.map((point) => point.y));
  const bottom = low >= 0 ? 0 : low;
  const x = linear(extent(points.map((point) => point.x)), [frame.left, width - frame.right]);
  const y = linear([bottom, bottom === 0 ? nice(high) : high], [height - frame.bottom, frame.top]);
  const isTime = typeof rows[0][how.x] === "string";
  return drawing("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height },
    ...yAxis(y, frame, width), ...xAxis(x, isTime, frame, width, height),
    ...axisNames(count > all.length ? `${unit(how.x)}, ${all.length} of ${count} series` : unit(how.x), unit(how.y),
      frame, width, height),
    ...all.map((series, index) => oneLine(series, index, x, y)), ...legendOf(all, frame, width, height));
}

function oneLine(series, index, x, y) {
  const points = series.points.sort((one, other) => one.x - other.x);
  const every = Math.max(1, Math.ceil(points.length / mostPoints));
  const kept = points.filter((_, place) => place % every === 0);
  const written = (point) => `${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`;
  const longest = 4 * usualStep(kept);
  const begins = (place) => place === 0 || kept[place].x - kept[place - 1].x > longest;
  const path = kept.map((point, place) => (begins(place) ? "M" : "L") + written(point)).join("");
  const marks = kept.length <= 60 ? kept.map((point) =>
    mark(index, x(point.x), y(point.y), pointText(series.name, point))) : [];
  return drawing("g", { class: `series s${index % mostSeries}` }, drawing("path", { class: "line", d: path }),
    ...marks);
}

/** Between neighbours, in the middle: where much more is missing, the line is broken, not drawn through nothing. */
function usualStep(points) {
  const steps = points.slice(1).map((point, place) => point.x - points[place].x).sort((one, other) => one - other);
  return steps[Math.floor(steps.length / 2)] || Infinity;
}

function pointText(name, point) {
  const at = point.x > 1e11 ? new Date(point.x).toISOString().slice(0, 19).replace("T", " ") : number(point.x);
  return `${name ? `${name}, ` : ""}${at}: ${number(point.y, 4)}`;
}

/** A circle, square, triangle or diamond. */
function mark(index, x, y, title) {
  const size = 3.2;
  const shapes = [
    `M${x - size} ${y}a${size} ${size} 0 1 0 ${2 * size} 0a${size} ${size} 0 1 0 ${-2 * size} 0`,
    `M${x - size} ${y - size}h${2 * size}v${2 * size}h${-2 * size}z`,
    `M${x} ${y - size - 1}L${x + size + 0.6} ${y + size - 0.6}H${x - size - 0.6}z`,
    `M${x} ${y - size - 1}L${x + size + 1} ${y}L${x} ${y + size + 1}L${x - size - 1} ${y}z`,
  ];
  return drawing("path", { class: "mark-shape", d: shapes[index % shapes.length] }, title
    ? drawing("title", {}, title) : null);
}

function scatterPlot(how, rows, { width, height, unit }) {
  const points = rows.map((row) => ({ x: xValue(row[how.x]), y: row[how.y], series: "" }))
    .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y)).slice(0, mostPoints);
  if (points.length === 0) return null;
  const frame = { left: 64, right: 16, top: 12, bottom: 40 };
  const x = linear(extent(points.map((point) => point.x)), [frame.left, width - frame.right]);
  const y = linear(extent(points.map((point) => point.y)), [height - frame.bottom, frame.top]);
  const isTime = typeof rows[0][how.x] === "string";
  return drawing("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height },
    ...yAxis(y, frame, width), ...xAxis(x, isTime, frame, width, height),
      ...axisNames(unit(how.x), unit(how.y), frame, width, height),
    drawing("g", { class: "series s0" }, ...points.map((point) =>
      mark(0, x(point.x), y(point.y), pointText("", point)))));
}

// Bars

function barPlot(how, rows, { width, height, unit }) {
  const bars = rows.map((row) => ({ name: row[how.x], value: row[how.y] })).filter((bar) => Number.isFinite(bar.value));
  if (bars.length === 0) return null;
  return typeof bars[0].name === "number" ? columnPlot(bars, how, { width, height, unit })
    : lyingBars(bars, how, { width, unit });
}

/** Words and names are read from left to right: their bars lie. */
function lyingBars(bars, how, { width, unit }) {
  const shown = bars.slice(0, mostBars);
  const line = 19;
  const frame = { left: Math.min(220, 24 + 6.6 * Math.max(...shown.map((bar) => text(bar.name).length))), right: 66,
    top: 8, bottom: 40 };
  const height = frame.top + frame.bottom + shown.length * line;
  const [low, high] = extent(shown.map((bar) => bar.value));
  const x = linear([Math.min(0, low), Math.max(0, high) || 1], [frame.left, width - frame.right]);
  const zero = x(0);
  const items = shown.map((bar, index) => {
    const y = frame.top + index * line;
    const end = x(bar.value);
    return drawing("g", { class: "series s0" },
      drawing("rect", { class: bar.value < 0 ? "bar-shape negative" : "bar-shape", x: Math.min(zero, end), y: y + 2,
        width: Math.max(1, Math.abs(end - zero)), height: line - 5 },
        drawing("title", {}, `${text(bar.name)}: ${number(bar.value, 4)}`)),
      drawing("text", { class: "tick end", x: frame.left - 8, y: y + 13 }, shortened(text(bar.name))),
      drawing("text", { class: "tick value", x: Math.max(zero, end) + 5, y: y + 13 },
        number(bar.value, Math.abs(bar.value) < 1 ? 4 : 1)));
  });
  const more = bars.length > shown.length ? ` (the first ${shown.length} of ${bars.length})` : "";
  return drawing("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height },
    drawing("line", { class: "axis", x1: zero, x2: zero, y1: frame.top, y2: height - frame.bottom }), ...items,
    drawing("text", { class: "axis-name middle", x: (frame.left + width - frame.right) / 2, y: height - 12 },
      `${unit(how.y)}${more}`));
}

function columnPlot(bars, how, { width, height, unit }) {
  const frame = { left: 64, right: 16, top: 12, bottom: 42 };
  const sorted = [...bars].sort((one, other) => one.name - other.name);
  const gaps = sorted.slice(1).map((bar, index) => bar.name - sorted[index].name).filter((gap) => gap > 0);
  const step = Math.min(...gaps, Infinity);
  const length = Number.isFinite(step) ? step : 1;
  const x = linear([sorted[0].name, sorted.at(-1).name + length], [frame.left, width - frame.right]);
  const [low, high] = extent(sorted.map((bar) => bar.value));
  const y = linear([Math.min(0, low), nice(Math.max(0, high))], [height - frame.bottom, frame.top]);
  const items = sorted.map((bar) => drawing("rect", {
    class: bar.value < 0 ? "bar-shape negative" : "bar-shape", x: x(bar.name) + 0.5,
    width: Math.max(1, x(bar.name + length) - x(bar.name) - 1), y: Math.min(y(0), y(bar.value)),
      height: Math.max(0.5, Math.abs(y(bar.value) - y(0))),
  }, drawing("title", {}, `${number(bar.name)} to ${number(bar.name + length)}: ${number(bar.value, 4)}`)));
  return drawing("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height },
    ...yAxis(y, frame, width), ...xAxis(x, false, frame, width, height),
      ...axisNames(unit(how.x), unit(how.y), frame, width, height),
    drawing("g", { class: "series s0" }, ...items));
}

// Axes and legends

function yAxis(y, frame, width) {
  return ticks(y.low, y.high, 5).flatMap((value) => [
    drawing("line", { class: "rule", x1: frame.left, x2: width - frame.right, y1: y(value), y2: y(value) }),
    drawing("text", { class: "tick end", x: frame.left - 7, y: y(value) + 4 }, short(value)),
  ]);
}

function xAxis(x, isTime, frame, width, height) {
  const [low, high] = [x.low, x.high];
  const room = Math.max(2, Math.floor((width - frame.left) / 96));
  const marks = isTime ? timeTicks(low, high, room) : ticks(low, high, room).map((at) => ({ at, text: short(at) }));
  const base = height - frame.bottom;
  return [
    drawing("line", { class: "axis", x1: frame.left, x2: width - frame.right, y1: base, y2: base }),
    ...marks.map(({ at, text: label }) => {
      const isLast = x(at) > width - frame.right - 22;
      const place = { class: isLast ? "tick end" : "tick middle", x: isLast ? width - 4 : x(at), y: base + 16 };
      return drawing("text", place, label);
    }),
  ];
}

function axisNames(xName, yName, frame, width, height) {
  return [
    drawing("text", { class: "axis-name middle", x: (frame.left + width - frame.right) / 2, y: height - frame.bottom
      + 32 }, xName),
    drawing("text", { class: "axis-name middle",
      transform: `translate(13 ${(frame.top + height - frame.bottom) / 2}) rotate(-90)` }, yName),
  ];
}

function legendHeight(all, width) {
  return all.length < 2 ? 0 : 20 * Math.ceil(all.length / perLine(width));
}

function perLine(width) {
  return Math.max(1, Math.floor((width - 80) / 150));
}

function legendOf(all, frame, width, height) {
  if (all.length < 2) return [];
  const count = perLine(width);
  const start = height - legendHeight(all, width) + 2;
  return all.map((series, index) => {
    const x = frame.left + (index % count) * 150;
    const y = start + Math.floor(index / count) * 20;
    return drawing("g", { class: `series s${index % mostSeries}` },
      drawing("path", { class: "line", d: `M${x} ${y + 8}h22` }), mark(index, x + 11, y + 8),
      drawing("text", { class: "tick", x: x + 28, y: y + 12 }, shortened(series.name, 17),
        drawing("title", {}, series.name)));
  });
}

/** The series with most points, in their order, and how many there are. */
function seriesOf(points) {
  const found = new Map();
  for (const point of points) {
    if (!found.has(point.series)) found.set(point.series, { name: point.series, points: [] });
    found.get(point.series).points.push(point);
  }
  const all = [...found.values()];
  const largest = [...all].sort((one, other) => other.points.length - one.points.length).slice(0, mostSeries);
  return [all.filter((series) => largest.includes(series)), all.length];
}

/** What cannot be added up: shares, times, degrees, scores. */
const means = /\[(1|s|%|deg|points|m)\]$/;

/** Rows of one series at one place, such as a relay's cells, are one point: their sum, or of a share their mean. */
function combined(points, yName) {
  const found = new Map();
  for (const point of points) {
    const key = `${point.series}\u0000${point.x}`;
    const known = found.get(key);
    if (!known) found.set(key, { ...point, count: 1 });
    else Object.assign(known, { y: known.y + point.y, count: known.count + 1 });
  }
  const isMean = means.test(yName);
  return [...found.values()].map((point) => (isMean ? { ...point, y: point.y / point.count } : point));
}

function xValue(value) {
  return typeof value === "string" ? milliseconds(value) : value;
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

function text(value) {
  return value === null || value === undefined ? "(none)"
    : plain(typeof value === "object" ? JSON.stringify(value) : value);
}

function shortened(label, longest = 30) {
  return label.length > longest ? `${label.slice(0, longest - 1)}…` : label;
}
