// A layer of a Leaflet map that is one canvas: ten thousand drones are ten thousand strokes, not ten thousand elements.
// It is larger than the map, moves with it while it is dragged, and is drawn again when the movement ends.

import * as L from "/pages/vendor/leaflet/leaflet.js";

/** Share of the map's size that is drawn beyond each edge, so that a drag shows no blank. */
const beyond = 0.25;

/** Longitude and latitude → the unit square of Web Mercator. */
export function worldX(longitude) {
  return longitude / 360 + 0.5;
}

export function worldY(latitude) {
  const sine = Math.sin((Math.max(-85.0511, Math.min(85.0511, latitude)) * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}

export function longitudeOf(x) {
  return (x - 0.5) * 360;
}

export function latitudeOf(y) {
  return (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI;
}

/** Where the canvas lies in the world: x and y give pixels of the canvas for the unit square. */
export class View {
  constructor(map, topLeft, size) {
    this.zoom = map.getZoom();
    this.scale = 256 * 2 ** this.zoom;
    const origin = map.getPixelOrigin().add(topLeft);
    this.left = origin.x;
    this.top = origin.y;
    this.width = size.x;
    this.height = size.y;
  }

  x(worldX) {
    return worldX * this.scale - this.left;
  }

  y(worldY) {
    return worldY * this.scale - this.top;
  }

  /** The world's part that the canvas shows. */
  get bounds() {
    return {
      west: this.left / this.scale, east: (this.left + this.width) / this.scale,
      north: this.top / this.scale, south: (this.top + this.height) / this.scale,
    };
  }

  shows(x, y, margin = 20) {
    return x > -margin && y > -margin && x < this.width + margin && y < this.height + margin;
  }

  /** Pixels of so many metres at this height of the world. */
  metres(length, worldY) {
    return (length / (40_075_017 * Math.cos((latitudeOf(worldY) * Math.PI) / 180))) * this.scale;
  }
}

export const CanvasLayer = L.Layer.extend({
  /** draw(context, view): once for each movement, and after redraw(). */
  initialize(draw, { order = 400 } = {}) {
    this.paint = draw;
    this.order = order;
    this.milliseconds = 0;
  },

  onAdd(map) {
    const pane = `canvas-${this.order}`;
    if (!map.getPane(pane)) map.createPane(pane).style.zIndex = String(this.order);
    map.getPane(pane).style.pointerEvents = "none";
    this.canvas = L.DomUtil.create("canvas", "leaflet-zoom-hide");
    this.canvas.setAttribute("aria-hidden", "true");
    map.getPane(pane).append(this.canvas);
    this.redraw();
  },

  onRemove() {
    this.canvas.remove();
  },

  getEvents() {
    return { moveend: this.drawNow, resize: this.drawNow, viewreset: this.drawNow };
  },

  /** Draws once before the next frame, however often it is called. */
  redraw() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      if (this._map) this.drawNow();
    });
  },

  drawNow() {
    const began = performance.now();
    const map = this._map;
    const margin = map.getSize().multiplyBy(beyond).round();
    const topLeft = map.containerPointToLayerPoint([0, 0]).subtract(margin).round();
    const size = map.getSize().add(margin.multiplyBy(2));
    const ratio = Math.min(2, devicePixelRatio || 1);
    if (this.canvas.width !== size.x * ratio || this.canvas.height !== size.y * ratio) {
      this.canvas.width = size.x * ratio;
      this.canvas.height = size.y * ratio;
      this.canvas.style.width = `${size.x}px`;
      this.canvas.style.height = `${size.y}px`;
    }
    L.DomUtil.setPosition(this.canvas, topLeft);
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.x, size.y);
    this.view = new View(map, topLeft, size);
    this.topLeft = topLeft;
    this.paint(context, this.view);
    this.milliseconds = performance.now() - began;
  },

  /** A point of the map's container as a point of the canvas. */
  toCanvas(containerPoint) {
    return this._map.containerPointToLayerPoint(containerPoint).subtract(this.topLeft);
  },
});
