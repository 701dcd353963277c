// One measure over one dimension, split into series: asked of central, drawn here.

import { element, setText } from "../shared/dom.js";
import { grouped } from "../shared/format.js";
import { change, filters, state } from "./address.js";
import { ask, unlessSuperseded } from "./ask.js";
import { plot } from "./plot.js";
import { pictureButtons } from "./pictures.js";
import { ResultTable } from "./resulttable.js";
import { twinBar } from "./twin.js";
import { leftOut } from "./words.js";

const dimensions = [["", "time"], ["hour", "hour of the day"], ["weekday", "weekday (1 Monday)"],
  ["relay_id", "relay"], ["drone_id", "drone"],
  ["cell", "cell"], ["word", "word"], ["rule", "rule"], ["reading", "reading"]];
const measures = [["", "reports"], ["drones", "drones"], ["late_share", "share of late reports"],
  ["delay_p50", "delay to relay, median [s]"],
  ["delay_p95", "delay to relay, 95 % [s]"], ["reading_mean", "reading, mean"], ["reading_min", "reading, lowest"],
  ["reading_max", "reading, highest"], ["peacescore", "peacescore, mean"]];
const series = [["", "one series"], ["relay_id", "by relay"], ["drone_id", "by drone"], ["cell", "by cell"],
  ["late", "late or in time"]];
const lines = ["time", "hour", "weekday"];

export class ChartsView {
  constructor(panel) {
    const choice = (name, values, label) => {
      const list = element("select", { "aria-label": label, onchange: () => change({ [name]: list.value }) },
        values.map(([value, text]) => element("option", { value }, text)));
      return list;
    };
    this.lists = { y: choice("y", measures, "Measure"), x: choice("x", dimensions, "Over"),
      by: choice("by", series, "Series") };
    this.reading = element("input", {
      type: "text", list: "reading-list", "aria-label": "Reading", placeholder: "battery_pct", size: 16,
        onchange: () => change({ reading: this.reading.value.trim() }),
    });
    this.readingHolder = element("label", { class: "inline" }, "reading ", this.reading);
    this.status = element("span", { class: "soft cut grow", role: "status" });
    this.figure = element("figure", { class: "figure" });
    const table = element("div", { class: "under-plot" });
    panel.append(
      element("div", { class: "view-head" }, this.lists.y, element("span", { class: "soft" }, "over"), this.lists.x,
        this.lists.by, this.readingHolder, this.status,
        twinBar(() => this.view(), { extra: pictureButtons(() => this.svg, () => "chart") })),
      element("div", { class: "scroll" }, this.figure, table));
    this.table = new ResultTable(table, { rowsPerPage: 25, caption: "The chart's rows" });
  }

  get parameters() {
    const { x, y, by, reading } = state();
    const needsReading = x === "reading" || (y ?? "").startsWith("reading");
    const ofReading = needsReading ? { reading: reading ?? "battery_pct" } : {};
    return { ...filters(), x: x ?? "time", y: y ?? "reports", by, ...ofReading };
  }

  view() {
    return { path: "/v1/explore/chart", parameters: this.parameters, name: "chart", answer: this.answer };
  }

  async load() {
    const { parameters } = this;
    for (const name of ["x", "y", "by"]) this.lists[name].value = state()[name] ?? "";
    this.reading.value = parameters.reading ?? "";
    this.readingHolder.hidden = parameters.reading === undefined;
    setText(this.status, "asking…");
    try {
      this.answer = await ask("chart", "/v1/explore/chart", parameters, { urgency: 3 });
      this.draw(parameters);
    } catch (error) {
      unlessSuperseded((text) => setText(this.status, text))(error);
    }
  }

  draw(parameters) {
    const isLine = lines.includes(parameters.x) || (parameters.x !== "reading" && parameters.by);
    const isText = !lines.includes(parameters.x) && parameters.x !== "reading";
    const labels = { x: nameIn(dimensions, state().x), y: nameIn(measures, state().y) };
    const title = `${nameIn(measures, state().y)} over ${nameIn(dimensions, state().x)}`;
    const rows = isText ? largestFirst(this.answer.rows, Boolean(parameters.by)) : this.answer.rows;
    const how = { kind: isLine && !isText ? "line" : "bar", x: "x", y: "y", by: parameters.by ? "series" : undefined };
    this.svg = plot(this.figure, how, { ...this.answer, rows }, { title, height: 340, labels });
    this.table.show(this.answer);
    setText(this.status, `${grouped(this.answer.row_count)} points${leftOut(this.answer)}`);
  }
}

function nameIn(values, chosen = "") {
  return values.find(([value]) => value === chosen)?.[1] ?? chosen;
}

/** Bars of texts stand by size; of several series each bar says which. */
function largestFirst(rows, hasSeries) {
  return [...rows].sort((one, other) => other.y - one.y)
    .map((row) => ({ ...row, x: hasSeries ? `${row.x} · ${row.series}` : row.x }));
}
