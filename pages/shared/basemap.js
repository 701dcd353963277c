// The ground under the drones, without a tile server: land and lakes from the packaged coastline, a graticule with its
// degrees, and names of cities. Coarse on purpose: it says where in the world one is, not where a street is.

import { CanvasLayer, latitudeOf, longitudeOf, worldX, worldY } from "./canvaslayer.js";
import { getJSON } from "./http.js";
import { colour } from "./theme.js";

/** Degrees between two lines of the graticule, coarse to fine. */
const steps = [45, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005];

let data = null;

/** The file is made by deploy/tools/make-base-map; a page without it has a graticule only. */
async function ground() {
  data ??= getJSON("/pages/map/ground.json").then(prepared).catch(() => prepared({}));
  return data;
}

function prepared({ land = [], lakes = [], places = [], note = "" }) {
  return {
    note, land: land.map(ring), lakes: lakes.map(ring),
    places: places.map(([name, lat, lon, rank]) => ({ name, rank, x: worldX(lon), y: worldY(lat) })),
  };
}

/** Hundredths of a degree, each as the difference from the one before → points of the unit square. */
function ring(differences) {
  const points = new Float64Array(differences.length);
  let [longitude, latitude] = [0, 0];
  const box = { west: 2, east: -1, north: 2, south: -1 };
  for (let index = 0; index < differences.length; index += 2) {
    longitude += differences[index];
    latitude += differences[index + 1];
    const x = worldX(longitude / 100);
    const y = worldY(latitude / 100);
    points[index] = x;
    points[index + 1] = y;
    box.west = Math.min(box.west, x);
    box.east = Math.max(box.east, x);
    box.north = Math.min(box.north, y);
    box.south = Math.max(box.south, y);
  }
  return { points, box };
}

/** Adds the ground to a map and gives the layer. */
export function addGround(map, { hasTiles = false } = {}) {
  const layer = new CanvasLayer((context, view) => drawGround(context, view, layer.ground, hasTiles), { order: 150 });
  layer.addTo(map);
  ground().then((loaded) => {
    layer.ground = loaded;
    if (loaded.note && !hasTiles) map.attributionControl.addAttribution(loaded.note);
    layer.redraw();
  });
  return layer;
}

function drawGround(context, view, loaded, hasTiles) {
  if (!hasTiles) {
    context.fillStyle = colour("--sea");
    context.fillRect(0, 0, view.width, view.height);
    if (loaded) {
      fillRings(context, view, loaded.land, colour("--land"), colour("--shore"));
      fillRings(context, view, loaded.lakes, colour("--sea"), colour("--shore"));
    }
  }
  drawGraticule(context, view);
  if (loaded && !hasTiles) drawPlaces(context, view, loaded.places);
}

function fillRings(context, view, rings, fill, stroke) {
  const { west, east, north, south } = view.bounds;
  context.beginPath();
  for (const { points, box } of rings) {
    if (box.east < west || box.west > east || box.south < north || box.north > south) continue;
    context.moveTo(view.x(points[0]), view.y(points[1]));
    let [lastX, lastY] = [Infinity, Infinity];
    for (let index = 2; index < points.length; index += 2) {
      const x = view.x(points[index]);
      const y = view.y(points[index + 1]);
      if (Math.abs(x - lastX) + Math.abs(y - lastY) < 0.7) continue;
      context.lineTo(x, y);
      [lastX, lastY] = [x, y];
    }
    context.closePath();
  }
  context.fillStyle = fill;
  context.fill("evenodd");
  context.strokeStyle = stroke;
  context.lineWidth = 1;
  context.stroke();
}

function drawGraticule(context, view) {
  const { west, east, north, south } = view.bounds;
  const degrees = steps.findLast((step) => (step / 360) * view.scale >= 90) ?? steps[0];
  const digits = Math.max(0, -Math.floor(Math.log10(degrees) + 1e-9));
  context.beginPath();
  // The canvas is a quarter larger than the map on each side: a sixth of it lies left of the map, and above it.
  const labels = [];
  for (let at = Math.ceil(longitudeOf(west) / degrees) * degrees; at <= longitudeOf(east); at += degrees) {
    const x = Math.round(view.x(worldX(at))) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, view.height);
    labels.push([`${Math.abs(at).toFixed(digits)}° ${at < 0 ? "W" : "E"}`, x + 4, view.height / 6 + 14]);
  }
  const lowest = Math.max(-85, latitudeOf(south));
  for (let at = Math.ceil(lowest / degrees) * degrees; at <= Math.min(85, latitudeOf(north)); at += degrees) {
    const y = Math.round(view.y(worldY(at))) + 0.5;
    context.moveTo(0, y);
    context.lineTo(view.width, y);
    labels.push([`${Math.abs(at).toFixed(digits)}° ${at < 0 ? "S" : "N"}`, view.width / 6 + 6, y - 4]);
  }
  context.strokeStyle = colour("--grid");
  context.lineWidth = 1;
  context.stroke();
  context.font = "10.5px Inter, system-ui, sans-serif";
  context.fillStyle = colour("--map-text");
  context.globalAlpha = 0.75;
  for (const [text, x, y] of labels) context.fillText(text, x, y);
  context.globalAlpha = 1;
}

function drawPlaces(context, view, places) {
  if (view.zoom < 3) return;
  context.font = "600 12px Inter, system-ui, sans-serif";
  context.textAlign = "center";
  const taken = [];
  for (const { name, x: worldX, y: worldY } of places) {
    const x = view.x(worldX);
    const y = view.y(worldY);
    if (!view.shows(x, y)) continue;
    const half = context.measureText(name).width / 2 + 6;
    if (taken.some((box) => Math.abs(box.x - x) < box.half + half && Math.abs(box.y - y) < 18)) continue;
    taken.push({ x, y, half });
    context.globalAlpha = 0.85;
    context.fillStyle = colour("--map-text");
    context.fillRect(x - 1.5, y - 1.5, 3, 3);
    context.fillText(name, x, y - 6);
  }
  context.globalAlpha = 1;
  context.textAlign = "start";
}
