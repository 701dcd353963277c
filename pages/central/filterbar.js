// The one bar: time, relay, drone, rule, words. It writes the address and reads it; everything else follows it.

import { byId, element, setText } from "../shared/dom.js";
import { change, filterNames, state } from "./address.js";

const presets = [
  ["-15m", "last 15 minutes"], ["-1h", "last hour"], ["-6h", "last 6 hours"], ["-24h", "last 24 hours"],
  ["-7d", "last 7 days"], ["-30d", "last 30 days"], ["", "all there is"],
];
const chipNames = { cell: "cell", bbox: "box", late: "late", time_suspect: "clock suspect" };

export class FilterBar {
  constructor() {
    this.time = byId("time");
    this.panel = byId("time-panel");
    this.from = byId("time-from");
    this.to = byId("time-to");
    this.chips = byId("chips");
    this.offered = new Map();
    byId("time-presets").append(...presets.map(([from, name]) => element("button", {
      type: "button", onclick: () => this.setTime(from, ""),
    }, name)));
    this.time.addEventListener("click", () => this.toggle(this.panel.hidden));
    byId("time-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.setTime(written(this.from.value), written(this.to.value));
    });
    document.addEventListener("click", (event) => {
      if (!this.panel.hidden && !event.target.closest("#time-holder")) this.toggle(false);
    });
    this.panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggle(false);
    });
    for (const name of ["relay_id", "rule"]) {
      byId(`filter-${name}`).addEventListener("change", (event) => change({ [name]: event.target.value }));
    }
    byId("filter-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.takeText();
    });
    for (const name of ["drone_id", "words"]) byId(`filter-${name}`).addEventListener("change", () => this.takeText());
    byId("clear").addEventListener("click", () => {
      change(Object.fromEntries(filterNames.map((name) => [name, ""])));
    });
  }

  takeText() {
    change({ drone_id: byId("filter-drone_id").value.trim(), words: byId("filter-words").value.trim() });
  }

  setTime(from, to) {
    change({ from, to });
    this.toggle(false);
    this.time.focus();
  }

  toggle(open) {
    this.panel.hidden = !open;
    this.time.setAttribute("aria-expanded", String(open));
    if (open) this.from.focus();
  }

  /** What there is to choose from. */
  offer(name, values) {
    const list = byId(`filter-${name}`);
    // A list that is open under somebody's hand is not built anew for nothing.
    if (JSON.stringify(values) === this.offered.get(name)) return;
    this.offered.set(name, JSON.stringify(values));
    if (list.tagName === "SELECT") {
      const chosen = state()[name] ?? "";
      const known = new Set(values);
      if (chosen && !known.has(chosen)) known.add(chosen);
      list.replaceChildren(element("option", { value: "" }, "all"),
        ...[...known].map((value) => element("option", { value }, value)));
      list.value = chosen;
    } else {
      byId(`${name}-list`).replaceChildren(...values.map((value) => element("option", { value })));
    }
  }

  /** Follows the address. */
  show(current) {
    setText(this.time, timeLabel(current));
    this.from.value = readable(current.from);
    this.to.value = readable(current.to);
    for (const name of ["relay_id", "rule"]) {
      const list = byId(`filter-${name}`);
      const value = current[name] ?? "";
      if (value && ![...list.options].some((option) => option.value === value)) list.append(element("option",
        { value }, value));
      list.value = value;
    }
    for (const name of ["drone_id", "words"]) byId(`filter-${name}`).value = current[name] ?? "";
    const chips = Object.entries(chipNames).filter(([name]) => current[name]).map(([name, label]) => element("button", {
      type: "button", class: "chip", title: `Take away: ${label} ${current[name]}`, onclick: () =>
        change({ [name]: "" }),
    }, `${label} ${chipText(name, current[name])} ×`));
    this.chips.replaceChildren(...chips);
    byId("clear").disabled = !filterNames.some((name) => current[name]);
  }
}

function chipText(name, value) {
  if (name !== "bbox") return value;
  return value.split(",").map((side) => Number(side).toFixed(2)).join(", ");
}

/** 2026-11-20 05:00 is UTC here; -24h and now stay as they are. */
function written(text) {
  const value = text.trim();
  const found = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?Z?$/.exec(value);
  return found ? `${found[1]}T${found[2]}${found[3] ?? ":00"}Z` : value;
}

function readable(text = "") {
  return text.replace(/^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(:\d{2})?(?:\.\d+)?Z$/, (_, day, minute, second) =>
    `${day} ${minute}${second && second !== ":00" ? second : ""}`);
}

function timeLabel({ from, to }) {
  const preset = presets.find(([value]) => value === (from ?? ""));
  if (!to && preset) return preset[1];
  return `${from ? readable(from) : "beginning"} → ${to ? readable(to) : "now"}`;
}
