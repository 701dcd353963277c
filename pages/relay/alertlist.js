// The list of alerts: filters with their counts, a search, rows whose age counts up. Only visible rows are elements.

import { byId, element, plain, setAttribute, setText } from "../shared/dom.js";
import { counter, grouped } from "../shared/format.js";
import { Rows } from "../shared/rows.js";
import { letters, placeWords, stateWords, valueAgainstLimit } from "./words.js";

const filters = [
  ["open", "Open"], ["unseen", "Unseen"], ["shelved", "Shelved"], ["closed", "Closed"], ["all", "All"],
];
/** How long a new alert's row stands out. */
const freshMilliseconds = 1400;

export class AlertList {
  constructor(model, { onChoose, onOpen }) {
    this.model = model;
    this.filter = "open";
    this.shownAt = new Map();
    this.search = byId("alert-search");
    this.order = byId("alert-order");
    this.none = byId("alerts-none");
    this.rows = new Rows(byId("alert-rows"), {
      height: 44, role: "grid", rowRole: "row", key: (alert) => alert.alert_id, make: makeRow,
      fill: (row, alert) => this.fillRow(row, alert), onChoose, onOpen,
    });
    this.buttons = new Map(filters.map(([name, title]) => {
      const count = element("b", {}, "0");
      const button = element(
        "button", { "aria-pressed": String(name === this.filter), onclick: () => this.setFilter(name) },
        title, count);
      byId("filters").append(button);
      return [name, { button, count }];
    }));
    this.search.addEventListener("input", () => this.refresh());
    this.order.addEventListener("change", () => this.refresh());
  }

  setFilter(name) {
    this.filter = name;
    for (const [other, { button }] of this.buttons) button.setAttribute("aria-pressed", String(other === name));
    this.refresh();
  }

  /** The filter of that number, for the keys 1 to 5. */
  setFilterAt(index) {
    if (filters[index]) this.setFilter(filters[index][0]);
  }

  /** Selects and sorts again: after facts, not for each tick of the clock. */
  refresh() {
    const chosen = this.rows.chosenKey;
    const counts = this.model.counts();
    for (const [name, { count }] of this.buttons) setText(count, grouped(counts[name]));
    const alerts = this.model.select({ filter: this.filter, text: this.search.value, order: this.order.value });
    const position = this.rows.positions.get(chosen);
    this.rows.show(alerts);
    this.none.hidden = alerts.length > 0;
    // What was chosen has left this filter: the cursor stays where it was, on the next one.
    if (chosen && !this.rows.positions.has(chosen) && position !== undefined && alerts.length > 0) {
      this.rows.choose(alerts[Math.min(position, alerts.length - 1)].alert_id, { scroll: false, tell: false });
    }
  }

  /** The ages count up. */
  tick() {
    this.rows.draw();
  }

  /** Shows the alert, whatever the filter hides. */
  reveal(alert) {
    if (!this.rows.positions.has(alert.alert_id)) {
      this.search.value = "";
      this.setFilter("all");
    }
    this.rows.choose(alert.alert_id);
  }

  arrived(alert) {
    this.shownAt.set(alert.alert_id, performance.now());
    setTimeout(() => this.shownAt.delete(alert.alert_id), freshMilliseconds);
  }

  fillRow(row, alert) {
    const { parts } = row;
    const now = this.model.now();
    const fresh = this.shownAt.has(alert.alert_id) ? " fresh" : "";
    const late = alert.late ? " is-late" : "";
    setAttribute(row, "class", `rows-item alert-row ${alert.severity} ${alert.state}${late}${fresh}`);
    setAttribute(row, "data-alert", alert.alert_id);
    setAttribute(parts.mark, "class", `mark ${alert.severity}`);
    setText(parts.mark, letters[alert.severity] ?? "?");
    setAttribute(parts.mark, "aria-label", alert.severity);
    setText(parts.name, plain(alert.rule));
    parts.times.hidden = alert.count < 2;
    setText(parts.times, `×${grouped(alert.count)}`);
    setText(parts.citizen, alert.citizen ? plain(alert.citizen) : alert.late ? "from a replayed past" : "");
    setText(parts.drone, alert.drone_id);
    setText(parts.seq, alert.seq === undefined ? "" : `report ${alert.seq}`);
    setText(parts.value, valueAgainstLimit(alert));
    const where = placeWords(this.model.placeOf(alert), this.model.hello?.position);
    setText(parts.place, where.short);
    setText(parts.degrees, where.long);
    setText(parts.state, stateWords(alert, now));
    setAttribute(parts.state, "class", `state-${alert.state}`);
    setText(parts.by, alert.state === "raised" || !alert.by ? (alert.late ? "late" : "") : plain(alert.by));
    setText(parts.age, counter((now - alert.raisedAt) / 1000));
  }
}

function makeRow() {
  const parts = {
    mark: element("span", { class: "mark", role: "img" }), name: element("span", { class: "name" }),
    times: element("span", { class: "times", title: "Raised so many times" }), citizen: element("p", { class: "sub" }),
    drone: element("p", { class: "mono" }), seq: element("p", { class: "sub" }), value: element("p"),
    place: element("p"), degrees: element("p", { class: "sub" }), state: element("p"),
      by: element("p", { class: "sub" }),
    age: element("p", { class: "age" }),
  };
  const cell = (...children) => element("div", { role: "gridcell" }, ...children);
  const row = element("div", {},
    element("span", { class: "bar", role: "presentation" }), cell(parts.mark),
      cell(element("p", {}, parts.name, parts.times), parts.citizen),
    cell(parts.drone, parts.seq), cell(parts.value), cell(parts.place, parts.degrees), cell(parts.state, parts.by),
    cell(parts.age));
  row.parts = parts;
  return row;
}
