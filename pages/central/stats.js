// The prepared statistics: each with its parameters, its plot, its rows. The list and the parameters are central's; a
// statistic that somebody puts into the configured folder is here at once.

import { element, plain, setText } from "../shared/dom.js";
import { grouped } from "../shared/format.js";
import { change, filters, parameterName, parameters, state } from "./address.js";
import { ask, unlessSuperseded } from "./ask.js";
import { hintOf, plot } from "./plot.js";
import { loadGround } from "./plotmap.js";
import { pictureButtons } from "./pictures.js";
import { ResultTable } from "./resulttable.js";
import { twinBar } from "./twin.js";
import { leftOut } from "./words.js";

/** Parameters that the bar sets as well, where the form says nothing else. */
const fromBar = { from: "from", to: "to", relay: "relay_id", drone: "drone_id", cell: "cell" };

export class StatisticsView {
  constructor(panel) {
    this.list = element("ul", { class: "stat-list", "aria-label": "Statistics" });
    this.title = element("h2", {});
    this.about = element("p", { class: "soft" });
    this.form = element("form", { class: "parameters", onsubmit: (event) => this.submitted(event) });
    this.status = element("span", { class: "soft cut grow", role: "status" });
    this.figure = element("figure", { class: "figure", id: "stat-plot" });
    const table = element("div", { class: "under-plot" });
    panel.append(element("div", { class: "stats" }, this.list, element("div", { class: "stat-main" },
      element("div", { class: "stat-head" }, this.title, this.about), this.form,
      element("div", { class: "view-head" }, this.status,
        twinBar(() => this.view(), { extra: pictureButtons(() => this.svg, () => this.entry?.name ?? "statistic") })),
      element("div", { class: "scroll" }, this.figure, table))));
    this.table = new ResultTable(table, { rowsPerPage: 25, caption: "The statistic's rows" });
  }

  async load() {
    try {
      await loadGround();
      this.entries ??= (await ask("statistics", "/v1/stats", {}, { urgency: 3 })).statistics;
      this.entry = this.entries.find((entry) => entry.name === state().stat) ?? this.entries.find((entry) =>
        !entry.error);
      this.drawList();
      if (!this.entry || this.entry.error) return setText(this.status, this.entry?.error ?? "There are no statistics.");
      this.drawForm();
      await this.run();
    } catch (error) {
      unlessSuperseded((text) => setText(this.status, text))(error);
    }
  }

  drawList() {
    this.list.replaceChildren(...this.entries.map((entry) => element("li", {}, element("button", {
      type: "button", class: "plain", "aria-pressed": String(entry === this.entry),
        title: entry.error ?? entry.description,
      "data-statistic": entry.name, onclick: () => this.choose(entry),
    }, plain(entry.title ?? entry.name), entry.error
      ? element("span", { class: "mark small critical", title: entry.error }, "!") : null))));
  }

  choose(entry) {
    const old = Object.fromEntries(Object.keys(parameters()).map((name) => [parameterName(name), ""]));
    change({ ...old, stat: entry.name });
  }

  // Parameters

  /** What the form says, else what the bar says, else the statistic's own default. */
  valueOf(parameter) {
    const own = parameters()[parameter.name];
    if (own !== undefined) return own;
    const name = fromBar[parameter.name];
    return (name && state()[name]) ?? "";
  }

  drawForm() {
    setText(this.title, plain(this.entry.title));
    setText(this.about, plain(this.entry.description));
    this.form.replaceChildren(...this.entry.parameters.map((parameter) =>
      element("label", { title: plain(parameter.description) },
      element("span", { class: "label" }, parameter.name), this.input(parameter))),
        element("button", { class: "primary" }, "Run"));
  }

  input(parameter) {
    const attributes = { name: parameter.name, "aria-description": parameter.description };
    if (parameter.type === "boolean") {
      const list = element("select", attributes,
        ["", "true", "false"].map((value) => element("option", { value }, value || `${parameter.default ?? "–"}`)));
      list.value = this.valueOf(parameter);
      return list;
    }
    const made = element("input", {
      ...attributes, type: "text", size: parameter.type === "text" ? 16 : 12,
        placeholder: parameter.default === "null" ? "any" : parameter.default,
      inputmode: ["integer", "number"].includes(parameter.type) ? "decimal" : null, required: parameter.required,
    });
    made.value = this.valueOf(parameter);
    return made;
  }

  submitted(event) {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(this.form));
    const before = JSON.stringify(this.parameters);
    change(Object.fromEntries(Object.entries(values).map(([name, value]) => {
      const shared = fromBar[name] && state()[fromBar[name]] === value.trim();
      return [parameterName(name), shared ? "" : value.trim()];
    })), { replace: true });
    if (JSON.stringify(this.parameters) === before) this.run();
  }

  get parameters() {
    const found = {};
    for (const parameter of this.entry?.parameters ?? []) {
      const value = this.valueOf(parameter);
      if (value !== "") found[parameter.name] = value;
    }
    // Without a time of its own a statistic is about the last day, which an older archive has nothing of.
    if (this.defaultPeriod && !filters().from && !found.from
      && this.entry?.parameters.some((parameter) => parameter.name === "from")) {
      found.from = this.defaultPeriod.from;
      found.to ??= this.defaultPeriod.to;
    }
    return found;
  }

  // Answer

  view() {
    return { path: `/v1/stats/${this.entry.name}`, parameters: this.parameters, name: this.entry.name,
      answer: this.answer };
  }

  async run() {
    const { entry } = this;
    setText(this.status, "asking…");
    try {
      this.answer = await ask("statistic", `/v1/stats/${entry.name}`, this.parameters, { urgency: 3 });
      this.svg = plot(this.figure, hintOf(entry.plot, this.answer.columns) ?? {}, this.answer, { title: entry.title });
      this.figure.dataset.statistic = entry.name;
      this.table.show(this.answer);
      const more = this.answer.truncated ? " and more" : "";
      setText(this.status, `${grouped(this.answer.row_count)} rows${more}${leftOut(this.answer)}`);
    } catch (error) {
      unlessSuperseded((text) => {
        this.figure.replaceChildren();
        this.table.clear();
        setText(this.status, text);
      })(error);
    }
  }
}
