// Places as a drawing: circles at points, or boxes of cells, over the coastline, in plate carrée corrected for the
// middle's latitude. For statistics, whose plot has to be taken along; exploring happens on the map tab.

import { drawing } from "../shared/dom.js";
import { getJSON } from "../shared/http.js";
import { number } from "../shared/format.js";
import { linear } from "./scale.js";

let ground = null;

/** Loads the coastline; plots made before it is there have none. */
export async function loadGround() {
  ground ??= await getJSON("/pages/map/ground.json").catch(() => ({ land: [] }));
  return ground;
}

export function mapPlot(how, rows, { width, height }) {
  const places = rows.map((row) => place(how, row)).filter(Boolean);
  if (places.length === 0) return null;
  const box = surrounding(places);
  const middle = (box.south + box.north) / 2;
  const scale = Math.min(width / ((box.east - box.west) * Math.cos((middle * Math.PI) / 180)),
    height / (box.north - box.south));
  const spanX = width / scale / Math.cos((middle * Math.PI) / 180);
  const spanY = height / scale;
  const centre = (box.west + box.east) / 2;
  const x = linear([centre - spanX / 2, centre + spanX / 2], [0, width]);
  const y = linear([middle - spanY / 2, middle + spanY / 2], [height, 0]);
  const values = places.map((found) => found.value).filter(Number.isFinite);
  const colour = values.length > 0 ? linear([Math.min(...values), Math.max(...values)], [0, 6]) : () => 3;
  const largest = Math.max(...places.map((found) => found.size ?? 0), 1);
  const shapes = places.map((found) => shape(found, x, y, colour, largest, how));
  return drawing("svg", { class: "plot map-plot", viewBox: `0 0 ${width} ${height}`, width, height },
    drawing("rect", { class: "sea", width, height }), coast(x, y, width, height), ...graticule(x, y, width, height),
      ...shapes,
    ...key(how, values, height));
}

function place(how, row) {
  const value = how.colour ? row[how.colour] : how.size ? row[how.size] : NaN;
  if (how.south) {
    const box = { south: row[how.south], west: row[how.west], north: row[how.north], east: row[how.east] };
    return Object.values(box).every(Number.isFinite) ? { ...box, value, row } : null;
  }
  const [lat, lon] = [row[how.lat], row[how.lon]];
  if (!Number.isFinite(lat) || !Number.isFinite(lon)) return null;
  return { south: lat, north: lat, west: lon, east: lon, size: how.size ? row[how.size] : 1, value, row,
    isPoint: true };
}

function surrounding(places) {
  const box = {
    south: Math.min(...places.map((found) => found.south)), north: Math.max(...places.map((found) => found.north)),
    west: Math.min(...places.map((found) => found.west)), east: Math.max(...places.map((found) => found.east)),
  };
  const margin = Math.max(0.01, 0.12 * Math.max(box.north - box.south, box.east - box.west));
  return { south: box.south - margin, north: box.north + margin, west: box.west - margin, east: box.east + margin };
}

function shape(found, x, y, colour, largest, how) {
  const step = Number.isFinite(found.value) ? Math.round(colour(found.value)) + 1 : 4;
  const label = [found.row.cell, how.colour && `${how.colour} ${number(found.row[how.colour])}`,
    how.size && `${how.size} ${number(found.row[how.size])}`].filter(Boolean).join(" · ");
  const title = drawing("title", {}, label);
  if (found.isPoint) {
    return drawing("circle", { class: `ramp r${step}`, cx: x(found.west), cy: y(found.south), r: 3
      + 8 * Math.sqrt((found.size ?? 1) / largest) }, title);
  }
  return drawing("rect", {
    class: `ramp r${step}`, x: x(found.west), y: y(found.north), width: Math.max(2, x(found.east) - x(found.west)),
    height: Math.max(2, y(found.south) - y(found.north)),
  }, title);
}

/** Rings of hundredths of a degree, each as the difference from the one before. */
function coast(x, y, width, height) {
  let path = "";
  for (const ring of ground?.land ?? []) {
    let [lon, lat] = [0, 0];
    let piece = "";
    let isSeen = false;
    const [outside, points] = [new Set(), []];
    for (let index = 0; index < ring.length; index += 2) {
      lon += ring[index];
      lat += ring[index + 1];
      const [px, py] = [x(lon / 100), y(lat / 100)];
      points.push([px, py]);
      outside.add(`${px < 0 ? "w" : px > width ? "e" : ""}${py < 0 ? "n" : py > height ? "s" : ""}`);
    }
    isSeen = outside.has("") || outside.size > 1;
    if (!isSeen) continue;
    points.forEach(([px, py], index) => {
      piece += `${index === 0 ? "M" : "L"}${clamp(px, width).toFixed(1)} ${clamp(py, height).toFixed(1)}`;
    });
    path += `${piece}z`;
  }
  return drawing("path", { class: "land", d: path });
}

/** Far outside is not nearer than a little outside: numbers stay short. */
function clamp(value, size) {
  return Math.max(-size, Math.min(2 * size, value));
}

function graticule(x, y, width, height) {
  const steps = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
  const step = steps.find((degrees) => x(degrees) - x(0) <= width / 3) ?? 0.01;
  const digits = Math.max(0, Math.ceil(-Math.log10(step)));
  const lines = [];
  const degrees = (at, [positive, negative]) => `${Math.abs(at).toFixed(digits)}° ${at < 0 ? negative : positive}`;
  for (let at = Math.ceil(x.low / step) * step; at <= x.high; at += step) {
    lines.push(drawing("line", { class: "rule", x1: x(at), x2: x(at), y1: 0, y2: height }),
      drawing("text", { class: "tick", x: x(at) + 3, y: height - 5 },
        degrees(at, "EW")));
  }
  for (let at = Math.ceil(y.low / step) * step; at <= y.high; at += step) {
    lines.push(drawing("line", { class: "rule", x1: 0, x2: width, y1: y(at), y2: y(at) }),
      drawing("text", { class: "tick", x: 4, y: y(at) - 3 }, degrees(at, "NS")));
  }
  return lines;
}

function key(how, values, height) {
  const name = how.colour ?? how.size;
  if (!name || values.length === 0) return [];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [
    drawing("rect", { class: "key-ground", x: 8, y: 8, width: 190, height: 40, rx: 5 }),
    drawing("text", { class: "axis-name", x: 16, y: 23 }, name),
    ...[1, 2, 3, 4, 5, 6, 7].map((step) => drawing("rect",
      { class: `ramp r${step}`, x: 16 + (step - 1) * 12, y: 29, width: 12, height: 11 })),
    drawing("text", { class: "tick", x: 106, y: 39 }, `${number(low, 1)} – ${number(high, 1)}`),
  ];
}
