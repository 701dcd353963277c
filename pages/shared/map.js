// A map with our own ground, or with a station's tiles, made the same way on both pages.

import * as L from "/pages/vendor/leaflet/leaflet.js";
import { addGround } from "./basemap.js";
import { onThemeChange } from "./theme.js";

export { L };
export { CanvasLayer, View, worldX, worldY, latitudeOf, longitudeOf } from "./canvaslayer.js";

/**
 * @param holder the element
 * @param options center [lat, lon], zoom, tiles {url, attribution} or null
 * @returns the Leaflet map; `redrawGround()` is added to it
 */
export function makeMap(holder, { center = [30, 10], zoom = 3, tiles = null, label = "Map" } = {}) {
  const map = L.map(holder, {
    center, zoom, minZoom: 2, maxZoom: 19, zoomSnap: 0.5, zoomDelta: 1, zoomControl: false, zoomAnimation: false,
    fadeAnimation: false, markerZoomAnimation: false, worldCopyJump: true, attributionControl: false,
    boxZoom: true, keyboard: true, preferCanvas: true,
  });
  holder.setAttribute("role", "application");
  holder.setAttribute("aria-label", `${label}. Arrow keys move it, plus and minus zoom.`);
  L.control.attribution({ prefix: false }).addTo(map);
  L.control.zoom({ position: "topright" }).addTo(map);
  L.control.scale({ imperial: false, maxWidth: 120 }).addTo(map);
  if (tiles) addTiles(map, tiles);
  const ground = addGround(map, { hasTiles: Boolean(tiles) });
  map.redrawGround = () => ground.redraw();
  onThemeChange(() => ground.redraw());
  new ResizeObserver(() => map.invalidateSize({ animate: false })).observe(holder);
  return map;
}

/** The attribution of the configuration is text: Leaflet would take it for markup. */
function addTiles(map, { url, attribution }) {
  L.tileLayer(url, { maxZoom: 19, attribution: escaped(attribution ?? "") }).addTo(map);
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
}
