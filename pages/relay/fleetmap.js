// The station's map: drones with their course, grey ghosts, tracks of ten minutes, a circle around each open alert. Two
// canvases hold it all; above `binnedFrom` visible drones the far view shows how many are where instead of each.

import { byId, setText } from "../shared/dom.js";
import { counter, grouped, number } from "../shared/format.js";
import { CanvasLayer, L, makeMap, worldX, worldY } from "../shared/map.js";
import { colour, onThemeChange } from "../shared/theme.js";
import { circle, drawAlert, drawCrowd, drawDrone, openAlerts } from "./marks.js";

const binnedFrom = 2_500;
const binPixels = 26;
/** From so many visible alerts on, each is a small ring. */
const crowdedFrom = 300;
/** How far from a drone a click still means it. */
const nearPixels = 14;
const rings = [1_000, 5_000, 10_000, 25_000];

export class FleetMap {
  constructor(model, { onChooseDrone, onChooseAlert }) {
    this.model = model;
    this.showsTracks = true;
    this.chosenDrone = null;
    this.chosenAlert = null;
    this.wasMoved = false;
    this.fittedDrones = 0;
    this.visible = [];
    this.alertMarks = [];
    this.onChooseDrone = onChooseDrone;
    this.onChooseAlert = onChooseAlert;
  }

  /** Once the page knows where the tiles come from. */
  start(tiles) {
    this.map = makeMap(byId("map"), { tiles, label: "Map of drones and alerts" });
    this.drones = new CanvasLayer((context, view) => this.drawDrones(context, view), { order: 420 }).addTo(this.map);
    this.alerts = new CanvasLayer((context, view) => this.drawAlerts(context, view), { order: 440 }).addTo(this.map);
    // What a person does to the map, not what the page does.
    for (const kind of ["pointerdown", "wheel", "keydown"]) {
      byId("map").addEventListener(kind, () => {
        this.wasMoved = true;
      }, { passive: true });
    }
    this.map.on("click", (event) => this.clicked(event.containerPoint));
    this.map.on("mousemove", (event) => this.pointed(event.containerPoint));
    this.map.on("mouseout movestart", () => this.pointed(null));
    this.map.on("resize", () => this.fitAgain());
    onThemeChange(() => this.redraw());
    byId("map-fit").addEventListener("click", () => {
      this.wasMoved = false;
      this.fitAgain();
    });
    byId("map-tracks").addEventListener("click", () => this.toggleTracks());
  }

  redraw() {
    this.openAlerts = null;
    this.drones?.redraw();
    this.alerts?.redraw();
  }

  /** New facts: drawn again, and shown whole until the operator has moved the map. */
  refresh() {
    if (!this.map) return;
    if (!this.wasMoved && this.model.drones.size > this.fittedDrones * 1.2) this.fitAgain();
    this.redraw();
    const lost = [...this.model.drones.values()].filter((drone) => !drone.located).length;
    byId("map-note").hidden = lost === 0;
    setText(byId("map-note"),
      lost === 1 ? "1 drone without a position is not drawn"
      : `${grouped(lost)} drones without a position are not drawn`);
  }

  /** The map follows the fleet until the operator moves it. */
  fitAgain() {
    if (!this.wasMoved && this.fit()) this.fittedDrones = this.model.drones.size;
  }

  /** All drones and the station in view. False where there is nothing to show yet. */
  fit() {
    const points = [];
    for (const drone of this.model.drones.values()) if (drone.located) points.push([drone.lat, drone.lon]);
    const station = this.model.hello?.position;
    if (points.length === 0 && !station) return false;
    if (points.length === 0) this.map.setView([station.lat, station.lon], 11, { animate: false });
    else {
      this.map.fitBounds(L.latLngBounds(station ? [...points, [station.lat, station.lon]] : points),
        { padding: [34, 34], maxZoom: 14, animate: false });
    }
    return points.length > 0;
  }

  toggleTracks() {
    this.showsTracks = !this.showsTracks;
    byId("map-tracks").setAttribute("aria-pressed", String(this.showsTracks));
    this.drones.redraw();
  }

  showAlert(alert) {
    const where = this.model.placeOf(alert);
    if (!where || !this.map) return;
    this.wasMoved = true;
    this.map.setView([where.lat, where.lon], Math.max(13, this.map.getZoom()), { animate: false });
  }

  choose({ drone = this.chosenDrone, alert = this.chosenAlert }) {
    this.chosenDrone = drone;
    this.chosenAlert = alert;
    this.redraw();
  }

  // Drawing

  drawDrones(context, view) {
    this.visible = [];
    for (const drone of this.model.drones.values()) {
      if (!drone.located) continue;
      // Each report brings a new value, so this is computed once a report, not once a frame.
      drone.x ??= worldX(drone.lon);
      drone.y ??= worldY(drone.lat);
      const [x, y] = [view.x(drone.x), view.y(drone.y)];
      if (view.shows(x, y)) this.visible.push({ drone, x, y });
    }
    this.drawStation(context, view);
    if (this.visible.length > binnedFrom && view.zoom < 13) return this.drawBins(context);
    if (this.showsTracks) this.drawTracks(context, view);
    this.drawMarks(context, view);
  }

  drawStation(context, view) {
    const station = this.model.hello?.position;
    if (!station) return;
    const [worldLeft, worldTop] = [worldX(station.lon), worldY(station.lat)];
    const [x, y] = [view.x(worldLeft), view.y(worldTop)];
    context.strokeStyle = colour("--shore");
    context.fillStyle = colour("--map-text");
    context.font = "10.5px Inter, system-ui, sans-serif";
    context.setLineDash([3, 4]);
    for (const metres of rings) {
      const radius = view.metres(metres, worldTop);
      if (radius < 34 || radius > view.width) continue;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.stroke();
      context.fillText(`${metres / 1000} km`, x + 3, y - radius - 3);
    }
    context.setLineDash([]);
    context.fillStyle = colour("--ink");
    context.beginPath();
    context.moveTo(x, y - 7);
    context.lineTo(x + 7, y);
    context.lineTo(x, y + 7);
    context.lineTo(x - 7, y);
    context.fill();
  }

  drawTracks(context, view) {
    context.strokeStyle = colour("--track");
    context.lineWidth = 1.25;
    context.globalAlpha = this.visible.length > 600 ? 0.45 : 0.8;
    context.beginPath();
    for (const { drone } of this.visible) {
      const track = this.model.tracks.get(drone.drone_id);
      if (!track || track.length < 2) continue;
      track.forEach(([, lat, lon], index) => {
        const [x, y] = [view.x(worldX(lon)), view.y(worldY(lat))];
        if (index === 0) context.moveTo(x, y);
        else context.lineTo(x, y);
      });
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  drawMarks(context, view) {
    const size = view.zoom >= 12 || this.visible.length < 150 ? 6 : this.visible.length < 1200 ? 4 : 2.5;
    for (const { drone, x, y } of this.visible) drawDrone(
      context, x, y, size, drone.heading_deg, this.model.isGhost(drone));
    if (view.zoom >= 13 && this.visible.length <= 60) this.drawNames(context);
    const chosen = this.visible.find(({ drone }) => drone.drone_id === this.chosenDrone);
    if (chosen) circle(context, chosen.x, chosen.y, 13, colour("--accent"), 2);
  }

  drawNames(context) {
    context.font = "600 11px Inter, system-ui, sans-serif";
    context.fillStyle = colour("--ink-soft");
    for (const { drone, x, y } of this.visible) context.fillText(drone.drone_id, x + 10, y + 4);
  }

  drawBins(context) {
    const bins = new Map();
    for (const { drone, x, y } of this.visible) {
      const key = `${Math.floor(x / binPixels)}/${Math.floor(y / binPixels)}`;
      const bin = bins.get(key)
        ?? { x: Math.floor(x / binPixels) * binPixels, y: Math.floor(y / binPixels) * binPixels, count: 0, ghosts: 0 };
      bin.count += 1;
      if (this.model.isGhost(drone)) bin.ghosts += 1;
      bins.set(key, bin);
    }
    const most = Math.max(...[...bins.values()].map((bin) => bin.count));
    context.font = "600 10.5px Inter, system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { x, y, count, ghosts } of bins.values()) {
      context.globalAlpha = 0.25 + 0.6 * Math.sqrt(count / most);
      context.fillStyle = ghosts > count / 2 ? colour("--ghost") : colour("--accent-fill");
      context.fillRect(x + 1, y + 1, binPixels - 2, binPixels - 2);
      context.globalAlpha = 1;
      context.fillStyle = count / most > 0.2 ? colour("--on-accent") : colour("--ink");
      context.fillText(
        count > 999 ? `${Math.floor(count / 1000)}k` : String(count), x + binPixels / 2, y + binPixels / 2 + 0.5);
    }
    context.textAlign = "start";
    context.textBaseline = "alphabetic";
  }

  drawAlerts(context, view) {
    this.alertMarks = [];
    this.openAlerts ??= openAlerts(this.model);
    for (const alert of this.openAlerts) {
      const where = this.model.placeOf(alert);
      if (!where) continue;
      const [x, y] = [view.x(worldX(where.lon)), view.y(worldY(where.lat))];
      if (!view.shows(x, y, 30)) continue;
      this.alertMarks.push({ alert, x, y });
    }
    if (this.alertMarks.length > crowdedFrom) drawCrowd(context, this.alertMarks);
    else for (const { alert, x, y } of this.alertMarks) drawAlert(context, alert, x, y);
    const chosen = this.alertMarks.find(({ alert }) => alert.alert_id === this.chosenAlert);
    if (chosen) circle(context, chosen.x, chosen.y, 19, colour("--ink"), 2.5);
  }

  // Pointing

  nearest(list, containerPoint) {
    const at = this.drones.toCanvas(containerPoint);
    let best = null;
    let bestSquare = nearPixels ** 2;
    for (const mark of list) {
      const square = (mark.x - at.x) ** 2 + (mark.y - at.y) ** 2;
      if (square < bestSquare) [best, bestSquare] = [mark, square];
    }
    return best;
  }

  clicked(containerPoint) {
    const drone = this.nearest(this.visible, containerPoint)?.drone;
    const alert = this.nearest(this.alertMarks.toReversed(), containerPoint)?.alert;
    if (alert) this.onChooseAlert(alert);
    else if (drone) this.onChooseDrone(drone);
  }

  pointed(containerPoint) {
    const tip = byId("map-tip");
    const found = containerPoint ? this.nearest(this.visible, containerPoint) : null;
    byId("map").style.cursor = found ? "pointer" : "";
    tip.hidden = !found;
    if (!found) return;
    const { drone } = found;
    const parts = [drone.drone_id, Number.isFinite(drone.battery_pct) ? `${number(drone.battery_pct, 0)} %` : null,
      Number.isFinite(drone.alt_m) ? `${number(drone.alt_m, 0)} m` : null,
        `heard ${counter(this.model.silence(drone))} ago`];
    setText(tip, parts.filter(Boolean).join(" · "));
    tip.style.left = `${Math.min(containerPoint.x + 14, byId("map").clientWidth - tip.offsetWidth - 6)}px`;
    tip.style.top = `${Math.max(6, containerPoint.y - 34)}px`;
  }
}
