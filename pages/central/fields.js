// The columns of the selected reports: how often each says nothing, and, opened, its most frequent values or its
// distribution. A value is a button that filters by it, where a filter for it exists.

import { element, plain } from "../shared/dom.js";
import { grouped, number } from "../shared/format.js";
import { change, filters, state } from "./address.js";
import { ask, unlessSuperseded } from "./ask.js";
import { showTwin } from "./twin.js";
import { leftOut } from "./words.js";

/** Which filter a field's value becomes. */
const filterOf = {
  ...Object.fromEntries(["relay_id", "drone_id", "cell", "rule", "late", "time_suspect"]
    .map((name) => [name, (value) => ({ [name]: value })])),
  words: (value) => ({ words: withWord(state().words, value) }),
  date: (value) => ({ from: value, to: nextDay(value) }),
};
const closed = ["observed_at", "received_at", "archived_at"];
const top = 10;

export class Fields {
  constructor(holder, count) {
    Object.assign(this, { holder, count });
    this.opened = new Set();
    this.answer = null;
  }

  async load() {
    const parameters = filters();
    try {
      this.answer = await ask("fields", "/v1/explore/fields", parameters, { urgency: 7 });
      this.parameters = parameters;
      this.draw();
    } catch (error) {
      unlessSuperseded((text) => this.holder.replaceChildren(element("p", { class: "fault" }, text)))(error);
    }
  }

  view() {
    return { path: "/v1/explore/fields", parameters: filters(), name: "fields", answer: this.answer };
  }

  draw() {
    const rows = [...this.answer.rows];
    rows.splice(10, 0, { field: "rule", type: "VARCHAR", reports: null, null_share: null, isOurs: true });
    this.holder.replaceChildren(...rows.map((row) => this.item(row)));
    for (const name of this.opened) this.loadValues(name);
  }

  item(row) {
    const canOpen = !closed.includes(row.field);
    const name = element("span", { class: "field-name" }, row.field);
    const share = row.null_share === null ? "" : emptyText(row.null_share);
    const label = [name, element("span", { class: "field-type" }, typeLetter(row.type)),
      element("span", { class: "grow" }),
      element("span", { class: "field-null", title: "Share of the reports in which it is empty" }, share)];
    const values = element("div", { class: "field-values", id: `values-${row.field}`,
      hidden: !this.opened.has(row.field) });
    const head = element("button", {
      type: "button", class: "field-head", title: describe(row), disabled: !canOpen, "aria-controls": values.id,
      "aria-expanded": canOpen ? String(this.opened.has(row.field)) : null,
      onclick: () => this.toggle(row.field, head, values),
    }, label);
    const range = canOpen || !row.smallest ? null
      : element("p", { class: "field-range" }, `${shortTime(row.smallest)} … ${shortTime(row.largest)}`);
    return element("li", { class: "field", "data-field": row.field }, head, range, values);
  }

  toggle(name, head, values) {
    const open = values.hidden;
    values.hidden = !open;
    head.setAttribute("aria-expanded", String(open));
    if (open) {
      this.opened.add(name);
      this.loadValues(name);
    } else {
      this.opened.delete(name);
    }
  }

  async loadValues(name) {
    const holder = document.getElementById(`values-${name}`);
    if (!holder) return;
    if (!holder.firstChild) holder.replaceChildren(element("p", { class: "faint" }, "…"));
    const parameters = { ...filters(), field: name, top };
    try {
      const answer = await ask(`values-${name}`, "/v1/explore/values", parameters, { urgency: 6 });
      this.drawValues(holder, name, answer, parameters);
    } catch (error) {
      unlessSuperseded((text) => holder.replaceChildren(element("p", { class: "fault" }, text)))(error);
    }
  }

  drawValues(holder, name, answer, parameters) {
    const largest = Math.max(...answer.rows.map((row) => row.share ?? 0), 1e-9);
    const items = answer.rows.map((row) => {
      const value = row.value ?? `${number(row.value_from, 3)} – ${number(row.value_to, 3)}`;
      const bar = element("i", { class: "share", style: { width: `${(100 * (row.share ?? 0)) / largest}%` } });
      const content = [bar, element("span", { class: "cut grow" }, plain(value)),
        element("span", { class: "soft" }, percent(row.share))];
      const title = `${plain(value)}: ${grouped(row.reports ?? row.sightings)} (${percent(row.share)})`;
      return element("li", {}, this.valueControl(name, row, content, title));
    });
    const notes = [];
    const sample = answer.rows[0]?.sample_share;
    if (sample !== undefined && sample < 1) notes.push(`from 1 in ${Math.round(1 / sample)} reports`);
    if (answer.suppressed_groups > 0) notes.push(leftOut(answer).slice(3));
    if (answer.rows.length === 0) notes.push("nothing in these reports");
    const view = { path: "/v1/explore/values", parameters, name: `values-${name}`, answer };
    const show = () => showTwin(view, "sql");
    const twin = element("button", { type: "button", class: "plain small", onclick: show }, "SQL");
    holder.replaceChildren(element("ul", {}, items), element("p", { class: "faint" }, notes.join(" · "), " ", twin));
  }

  /** A reading's name opens its distribution; a value with a filter sets it. */
  valueControl(name, row, content, title) {
    if (name === "readings" && row.value) {
      const values = element("div", { class: "field-values", id: `values-readings.${row.value}`, hidden: true });
      const full = `readings.${row.value}`;
      const head = element("button", {
        type: "button", class: "value", title: `${title}. Opens its distribution.`,
        onclick: () => this.toggle(full, head, values),
      }, content);
      return [head, values];
    }
    const changes = filterOf[name];
    // The filter has no way to write a quote.
    const isWritable = name !== "words" || !String(row.value).includes('"');
    if (!changes || !isWritable || (row.value ?? null) === null) {
      return element("span", { class: "value", title }, content);
    }
    const onclick = () => change(changes(String(row.value)));
    return element("button", { type: "button", class: "value", title: `${title}. Filters by it.`, onclick }, content);
  }
}

function typeLetter(type) {
  const letters = { TIMESTAMPTZ: "time", DATE: "day", VARCHAR: "text", BIGINT: "whole", DOUBLE: "number",
    BOOLEAN: "flag", LIST: "list", MAP: "map", JSON: "json" };
  return letters[type] ?? type.toLowerCase();
}

function describe(row) {
  const parts = [row.field];
  if (row.reports !== null) parts.push(`empty in ${percent(row.null_share)} of ${grouped(row.reports)} reports`);
  if (row.different_about) parts.push(`about ${grouped(row.different_about)} different`);
  const hasRange = row.smallest !== null && row.smallest !== undefined;
  if (hasRange) parts.push(`${plain(row.smallest)} … ${plain(row.largest)}`);
  return parts.join(" · ");
}

function emptyText(share) {
  return share === 0 ? "full" : `${percent(share)} empty`;
}

function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = 100 * share;
  return `${value > 0 && value < 0.1 ? "<0.1" : number(value, value < 10 ? 1 : 0)} %`;
}

function shortTime(text) {
  return text.slice(5, 19).replace("T", " ");
}

function withWord(words = "", word) {
  const written = /[\s"*]|^-/.test(word) ? `"${word}"` : word;
  return words.split(" ").includes(written) ? words : `${words} ${written}`.trim();
}

function nextDay(day) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
}
