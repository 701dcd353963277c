// The reports themselves, a page at a time by the cursor of /v1/reports. A row opens: everything that is in it.

import { byId, element, plain, setText } from "../shared/dom.js";
import { grouped, number, place } from "../shared/format.js";
import { change, filters, state } from "./address.js";
import { ask, unlessSuperseded } from "./ask.js";
import { twinBar } from "./twin.js";

const pageRows = 100;

export class ReportsView {
  constructor(panel) {
    this.order = element("select", { "aria-label": "Order", onchange: () =>
      change({ order: this.order.value }, { replace: true }) },
      element("option", { value: "" }, "newest first"), element("option", { value: "oldest" }, "oldest first"));
    this.status = element("span", { class: "soft cut grow", role: "status" });
    this.previous = element("button", { type: "button", title: "Previous page (p)", onclick: () => this.turn(-1) },
      "‹ Previous");
    this.next = element("button", { type: "button", title: "Next page (n)", onclick: () => this.turn(1) }, "Next ›");
    this.body = element("tbody", {});
    const heads = ["time (UTC)", "drone", "relay", "place", "flags", "citizens", "lowest", "words", "readings"];
    this.scroller = element("div", {
      class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Reports", onkeydown: (event) =>
        this.pressed(event),
    }, element("table", { class: "reports" }, element("caption", { class: "off-screen" }, "Reports of the selection"),
      element("thead", {}, element("tr", {}, heads.map((head) =>
        element("th", { scope: "col", class: head === "citizens" || head === "lowest" ? "number" : null }, head)))),
      this.body));
    panel.append(element("div", { class: "view-head" }, this.order, this.previous, this.next, this.status,
      twinBar(() => this.view())),
      this.scroller);
  }

  load() {
    this.order.value = state().order ?? "";
    this.cursors = [null];
    return this.ask();
  }

  turn(by) {
    if (by > 0 && this.answer?.next_cursor) this.cursors.push(this.answer.next_cursor);
    else if (by < 0 && this.cursors.length > 1) this.cursors.pop();
    else return null;
    return this.ask();
  }

  get parameters() {
    return { ...filters(), order: state().order, limit: pageRows, cursor: this.cursors?.at(-1) };
  }

  view() {
    return {
      path: "/v1/reports", parameters: this.parameters, name: "reports", answer: this.answer, hasSQL: true,
      spark: () => {
        const direction = state().order === "oldest" ? "asc" : "desc";
        return `chosen.orderBy(time.${direction}(), "drone_id", "boot", "seq").limit(${pageRows})`;
      },
    };
  }

  async ask() {
    setText(this.status, "asking…");
    try {
      this.answer = await ask("reports", "/v1/reports", this.parameters, { urgency: 3 });
      this.draw();
    } catch (error) {
      unlessSuperseded((text) => setText(this.status, text))(error);
    }
  }

  draw() {
    const { rows } = this.answer;
    const first = (this.cursors.length - 1) * pageRows;
    this.body.replaceChildren(...rows.map((row) => this.row(row)));
    this.scroller.scrollTop = 0;
    this.previous.disabled = this.cursors.length === 1;
    this.next.disabled = !this.answer.next_cursor;
    const more = this.answer.next_cursor ? ", and more" : "";
    setText(this.status, rows.length === 0 ? "No report fits. A wider time, or fewer filters, may find some."
      : `reports ${grouped(first + 1)} to ${grouped(first + rows.length)}${more}`);
  }

  row(row) {
    const scores = (row.citizens ?? []).map((citizen) => citizen.peacescore).filter(Number.isFinite);
    const lowest = scores.length > 0 ? Math.min(...scores) : NaN;
    const flags = [row.late && flag("L", "warning", "Late: it arrived more than 5 minutes after it was observed"),
      row.time_suspect && flag("C", "critical", "Clock: the drone's time was more than a day off"),
      (row.media ?? []).length > 0 && flag("M", "info", `${row.media.length} media`)].filter(Boolean);
    const at = row.time_suspect ? row.received_at : row.observed_at;
    return element("tr", {
      class: "open", tabindex: -1, onclick: () => showReport(row), onkeydown: (event) => {
        if (event.key === "Enter") showReport(row);
      },
    },
    element("td", { class: "mono" }, at.slice(0, 23).replace("T", " ").replace("Z", "")),
      element("td", {}, plain(row.drone_id)),
    element("td", {}, plain(row.relay_id)), element("td", { class: "mono" }, Number.isFinite(row.lat)
      ? place(row.lat, row.lon) : "–"),
    element("td", {}, flags), element("td", { class: "number" }, scores.length || "–"),
    element("td", { class: lowest < 20 ? "number fault" : "number" }, number(lowest, 1)),
    element("td", { class: "words" }, (row.words ?? []).slice(0, 12).map(plain).join(" "),
      (row.words ?? []).length > 12 ? " …" : ""),
    element("td", { class: "words soft" }, readingsText(row.readings)));
  }

  pressed(event) {
    const rows = [...this.body.rows];
    const index = rows.indexOf(document.activeElement);
    if (event.key === "ArrowDown") rows[Math.min(rows.length - 1, index + 1)]?.focus();
    else if (event.key === "ArrowUp") rows[Math.max(0, index - 1)]?.focus();
    else if (event.key === "n") this.turn(1);
    else if (event.key === "p") this.turn(-1);
    else return;
    event.preventDefault();
  }
}

function flag(letter, kind, title) {
  return element("span", { class: `mark small ${kind}`, title }, letter);
}

function entries(map) {
  if (!map) return [];
  return Array.isArray(map) ? map.map((entry) => [entry.key, entry.value]) : Object.entries(map);
}

function readingsText(readings) {
  return entries(readings).slice(0, 4).map(([name, value]) => `${plain(name)} ${number(value, 2)}`).join(", ");
}

/** Everything of one report. */
function showReport(row) {
  const dialog = byId("report");
  const known = ["words", "readings", "citizens", "media"];
  const facts = Object.entries(row).filter(([name, value]) => !known.includes(name) && value !== null)
    .flatMap(([name, value]) => [
    element("dt", {}, name), element("dd", { class: "mono" },
      plain(typeof value === "object" ? JSON.stringify(value) : value)),
  ]);
  const citizens = (row.citizens ?? []).map((citizen) =>
    element("tr", {}, element("td", { class: "mono" }, plain(citizen.person_id ?? "–")),
    element("td", { class: "number" }, number(citizen.peacescore, 2)),
      element("td", { class: "number" }, number(citizen.confidence, 2))));
  const only = (changes) => () => {
    dialog.close();
    change(changes);
  };
  byId("report-body").replaceChildren(
    element("h2", {}, `${plain(row.drone_id)} · boot ${plain(row.boot)} · ${row.seq}`),
    element("div", { class: "button-line" },
      element("button", { type: "button", onclick: only({ drone_id: row.drone_id }) }, "Only this drone"),
      element("button", { type: "button", onclick: only({ relay_id: row.relay_id }) }, "Only this relay"),
      row.cell ? element("button", { type: "button", onclick: only({ cell: row.cell.slice(0, 5) }) },
        "Only around here") : null),
    element("dl", { class: "facts" }, facts),
    section("Words", element("p", { class: "word-list" },
      (row.words ?? []).map((word) => element("span", { class: "chip" }, plain(word))))),
    section("Citizens (by pseudonym)", citizens.length === 0 ? element("p", { class: "faint" }, "none")
      : element("table", {},
      element("thead", {}, element("tr", {}, ["person_id", "peacescore", "confidence"].map((head, index) =>
        element("th", { class: index ? "number" : null }, head)))), element("tbody", {}, citizens))),
    section("Readings", element("dl", { class: "facts" },
      entries(row.readings).flatMap(([name, value]) => [element("dt", {}, plain(name)),
      element("dd", { class: "mono" }, String(value))]))),
    section("Media", element("ul", {}, (row.media ?? [])
      .map((media) => element("li", { class: "mono" },
      plain(`${media.uri} ${media.type ?? ""} ${media.bytes ?? ""}`))))));
  dialog.showModal();
}

function section(title, content) {
  return element("section", {}, element("h3", { class: "label" }, title), content);
}
