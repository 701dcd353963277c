// Where the selected reports are: geohash cells that central counted, as fine as the scale allows; the reports
// themselves once the map is near and they are few. Nothing is binned in the browser.

import { drawing, element, setText } from "../shared/dom.js";
import { grouped, number } from "../shared/format.js";
import { getJSON } from "../shared/http.js";
import { CanvasLayer, makeMap, worldX, worldY } from "../shared/map.js";
import { colour, onThemeChange } from "../shared/theme.js";
import { change, filters, state } from "./address.js";
import { ask, takeBack, unlessSuperseded } from "./ask.js";
import { geohash, lengthFor } from "./geohash.js";
import { twinBar } from "./twin.js";
import { leftOut } from "./words.js";

const smallestCellPixels = 13;
const fewReports = 3_000;
const nearZoom = 10;
/** A cell with this much room says its number as well. */
const writtenPixels = 34;

export class MapView {
  constructor(panel) {
    this.holder = element("div", { class: "map", id: "map" });
    this.readout = element("span", { class: "readout cut grow", role: "status" });
    this.measure = element("select", { "aria-label": "What the cells show", onchange: () =>
      change({ measure: this.measure.value }, { replace: true }) },
      element("option", { value: "" }, "reports"), element("option", { value: "peacescore" }, "mean peacescore"));
    const useView = element("button", {
      type: "button", class: "plain", title: "Only reports that this part of the map shows", onclick: () =>
        this.filterByView(),
    }, "Filter to this view");
    const whole = element("button", { type: "button", class: "plain", title: "Shows all of the selection",
      onclick: () => this.fit(true) }, "Fit");
    panel.append(
      element("div", { class: "view-head" }, this.measure, useView, whole, this.readout, twinBar(() => this.view())),
      this.holder, this.key = element("div", { class: "map-key", "aria-hidden": "true" }));
    this.data = null;
    this.points = null;
  }

  /** The map is made when it is first seen: it needs a size. */
  async open() {
    if (this.map) return;
    const { map: tiles } = await getJSON("/pages/settings.json").catch(() => ({ map: null }));
    if (this.map) return;
    this.map = makeMap(this.holder, { center: [30, 10], zoom: 2, tiles, label: "Map of the selected reports" });
    this.layer = new CanvasLayer((context, view) => this.paint(context, view), { order: 420 });
    this.layer.addTo(this.map);
    this.map.on("moveend", () => this.moved());
    this.map.on("mousemove", (event) => this.point(event.latlng));
    this.map.on("mouseout", () => setText(this.readout, this.summary()));
    this.map.on("click", (event) => this.clicked(event.latlng));
    onThemeChange(() => this.layer.redraw());
  }

  async load() {
    await this.open();
    this.measure.value = state().measure ?? "";
    this.selection = JSON.stringify(filters());
    this.asked = null;
    if (this.fitted === this.selection) return this.ask();
    // First coarsely and everywhere, to know where to look.
    try {
      const rough = await ask("bins", "/v1/explore/bins", { ...filters(), length: 4 }, { urgency: 3 });
      // Behind another tab a map has no size, and would fit to nothing: it is asked again when it is seen.
      if (this.isHidden) return;
      this.extent = extentOf(rough.rows);
      this.fit(!this.fitted || !this.seesExtent());
      this.fitted = this.selection;
      await this.ask();
    } catch (error) {
      unlessSuperseded((text) => setText(this.readout, text))(error);
    }
  }

  get isHidden() {
    return this.holder.clientWidth === 0;
  }

  seesExtent() {
    return this.extent ? this.map.getBounds().contains(this.extent) : true;
  }

  fit(really) {
    if (really && this.extent) this.map.fitBounds(this.extent, { padding: [24, 24], maxZoom: 15, animate: false });
  }

  get length() {
    return lengthFor((256 * 2 ** this.map.getZoom()) / 360, smallestCellPixels);
  }

  /** The map's part of the world with a margin, so that small movements need no question. */
  get box() {
    const bounds = this.map.getBounds().pad(0.25);
    const west = Math.max(-180, bounds.getWest());
    const east = Math.min(180, bounds.getEast());
    return [west, Math.max(-90, bounds.getSouth()), east, Math.min(90, bounds.getNorth())].map((side) =>
      side.toFixed(4)).join(",");
  }

  get parameters() {
    const measure = state().measure === "peacescore" ? "peacescore" : "reports";
    // A box of the filter stands; else what the map shows is enough.
    return { ...filters(), bbox: filters().bbox ?? this.box, length: this.length, measure };
  }

  view() {
    if (this.points) {
      return { path: "/v1/explore/points", parameters: this.pointParameters, name: "points", answer: this.points };
    }
    const { length } = this.parameters;
    return {
      path: "/v1/explore/bins", parameters: this.parameters, name: "bins", answer: this.data,
      spark: () => `chosen.groupBy(F.expr("left(cell, ${Math.min(7, length)})").alias("cell"))`
        + '.agg(F.count("*").alias("reports"), F.count_if("late").alias("late"))',
    };
  }

  get pointParameters() {
    const { measure: _, length: __, ...rest } = this.parameters;
    return { ...rest, limit: fewReports };
  }

  async ask() {
    const { parameters } = this;
    // Fitting the map moves it, which asks as well.
    const question = JSON.stringify(parameters);
    if (question === this.asked || this.isHidden) return;
    this.asked = question;
    // Points of a question before must not come after this one's cells.
    takeBack("points");
    try {
      const answer = await ask("bins", "/v1/explore/bins", parameters, { urgency: 3 });
      if (this.asked !== question) return;
      this.data = answer;
      this.cells = new Map(answer.rows.map((row) => [row.cell, row]));
      this.points = null;
      const total = answer.rows.reduce((sum, row) => sum + (row.reports ?? 0), 0);
      if (parameters.measure === "reports" && this.map.getZoom() >= nearZoom && total > 0 && total <= fewReports) {
        const points = await ask("points", "/v1/explore/points", this.pointParameters, { urgency: 4 });
        if (this.asked !== question) return;
        this.points = points;
      }
      this.drawKey();
      this.layer.redraw();
      setText(this.readout, this.summary());
    } catch (error) {
      if (this.asked === question) this.asked = null;
      unlessSuperseded((text) => setText(this.readout, text))(error);
    }
  }

  moved() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.fitted === this.selection) this.ask();
    }, 120);
  }

  // Drawing

  get isScore() {
    return this.data?.rows.length > 0 && this.data.rows[0].mean !== undefined;
  }

  value(row) {
    return this.isScore ? row.mean : row.reports;
  }

  /** 1 to 7: for counts by their root, so that one busy cell does not whiten the rest. */
  step(row) {
    const [low, high] = this.range;
    const root = this.isScore ? (value) => value : Math.sqrt;
    const share = high > low ? (root(this.value(row)) - root(low)) / (root(high) - root(low)) : 0.5;
    return 1 + Math.round(6 * Math.min(1, Math.max(0, share)));
  }

  paint(context, view) {
    if (!this.data) return;
    if (this.points) return this.paintPoints(context, view);
    const values = this.data.rows.map((row) => this.value(row));
    this.range = [Math.min(...values), Math.max(...values)];
    const steps = [1, 2, 3, 4, 5, 6, 7].map((step) => colour(`--ramp-${this.isScore ? 8 - step : step}`));
    const inks = [1, 2, 3, 4, 5, 6, 7].map((step) => colour(`--on-ramp-${this.isScore ? 8 - step : step}`));
    context.font = "600 10.5px Inter, system-ui, sans-serif";
    context.textAlign = "center";
    for (const row of this.data.rows) {
      const [x, y] = [view.x(worldX(row.west)), view.y(worldY(row.north))];
      const [width, height] = [view.x(worldX(row.east)) - x, view.y(worldY(row.south)) - y];
      if (x > view.width || y > view.height || x + width < 0 || y + height < 0) continue;
      const step = this.step(row) - 1;
      context.globalAlpha = 0.86;
      context.fillStyle = steps[step];
      context.fillRect(x, y, Math.max(1.5, width - 1), Math.max(1.5, height - 1));
      context.globalAlpha = 1;
      if (width < writtenPixels || height < 14) continue;
      context.fillStyle = inks[step];
      context.fillText(this.isScore ? number(row.mean, 0) : grouped(row.reports), x + width / 2, y + height / 2 + 4);
    }
    context.textAlign = "start";
  }

  paintPoints(context, view) {
    const [inTime, late, edge] = [colour("--series-1"), colour("--series-2"), colour("--panel")];
    context.lineWidth = 1;
    context.strokeStyle = edge;
    for (const row of this.points.rows) {
      const [x, y] = [view.x(worldX(row.lon)), view.y(worldY(row.lat))];
      if (!view.shows(x, y)) continue;
      context.fillStyle = row.late ? late : inTime;
      context.beginPath();
      // Late ones are squares as well as another colour.
      if (row.late) context.rect(x - 3.4, y - 3.4, 6.8, 6.8);
      else context.arc(x, y, 3.7, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
  }

  drawKey() {
    const { rows } = this.data;
    if (rows.length === 0) return this.key.replaceChildren(element("span", { class: "soft" },
      "Nothing here in this selection."));
    if (this.points) {
      return this.key.replaceChildren(element("i", { class: "swatch in-time round" }), "report",
        element("i", { class: "swatch late" }), "L late");
    }
    const values = rows.map((row) => this.value(row));
    const steps = [1, 2, 3, 4, 5, 6, 7].map((step) => drawing("rect", {
      class: `ramp r${this.isScore ? 8 - step : step}`, x: (step - 1) * 14, width: 14, height: 10,
    }));
    const written = (value) => (this.isScore ? number(value, 1) : grouped(value));
    this.key.replaceChildren(this.isScore ? "mean peacescore " : "reports in a cell ", written(Math.min(...values)),
      drawing("svg", { width: 98, height: 10 }, steps), written(Math.max(...values)));
  }

  // Reading

  summary() {
    if (!this.data) return "";
    const limit = this.data.truncated ? " (the largest 50,000)" : "";
    if (this.points) return `${grouped(this.points.rows.length)} reports, each where it was observed`;
    const total = this.data.rows.reduce((sum, row) => sum + (row.reports ?? row.sightings ?? 0), 0);
    const what = this.isScore ? "sightings" : "reports";
    const cells = `${grouped(this.data.rows.length)} cells`;
    return `${grouped(total)} ${what} in ${cells}${limit}${leftOut(this.data, "cells ")}`;
  }

  cellAt({ lat, lng }) {
    return this.data ? this.cells.get(geohash(lat, lng, this.data.length)) : null;
  }

  point(place) {
    const row = this.cellAt(place);
    if (!row || this.points) return setText(this.readout, this.summary());
    const score = `mean ${number(row.mean, 1)}, ${grouped(row.sightings)} sightings of ${grouped(row.persons)} persons`;
    const count = `${grouped(row.reports)} reports, ${grouped(row.late)} late. Click to zoom in.`;
    setText(this.readout, `${row.cell}: ${this.isScore ? score : count}`);
  }

  clicked(place) {
    const row = this.cellAt(place);
    if (!row || this.points) return;
    this.map.fitBounds([[row.south, row.west], [row.north, row.east]], { maxZoom: 18, animate: false });
  }

  filterByView() {
    const bounds = this.map.getBounds();
    change({ bbox: [Math.max(-180, bounds.getWest()), Math.max(-90, bounds.getSouth()),
      Math.min(180, bounds.getEast()), Math.min(90, bounds.getNorth())]
      .map((side) => side.toFixed(4)).join(",") });
  }
}

function extentOf(rows) {
  if (rows.length === 0) return null;
  // The cells with all but a few of the reports: one stray place does not shrink the rest to a dot.
  const total = rows.reduce((sum, row) => sum + row.reports, 0);
  let counted = 0;
  const main = rows.filter((row) => {
    const isWanted = counted < total * 0.995;
    counted += row.reports;
    return isWanted;
  });
  return [
    [Math.min(...main.map((row) => row.south)), Math.min(...main.map((row) => row.west))],
    [Math.max(...main.map((row) => row.north)), Math.max(...main.map((row) => row.east))],
  ];
}
