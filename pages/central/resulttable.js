// Rows of any answer as a table, a page at a time: a large result never becomes thousands of elements. A click on a
// column's name sorts what the browser has.

import { element, plain, setText } from "../shared/dom.js";
import { grouped } from "../shared/format.js";

const pageRows = 50;

export class ResultTable {
  /** onRow(row): a row was opened. */
  constructor(holder, { rowsPerPage = pageRows, onRow = null, caption = "Rows" } = {}) {
    Object.assign(this, { holder, rowsPerPage, onRow, caption });
    this.count = element("span", { class: "soft", role: "status" });
    this.previous = element("button", { type: "button", onclick: () => this.turn(-1) }, "‹ Previous");
    this.next = element("button", { type: "button", onclick: () => this.turn(1) }, "Next ›");
    this.scroller = element("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": caption });
    this.pager = element("div", { class: "pager" }, this.count, element("span", { class: "grow" }), this.previous,
      this.next);
    holder.replaceChildren(this.scroller, this.pager);
    this.clear();
  }

  clear(text = "") {
    this.answer = null;
    this.pager.hidden = true;
    this.scroller.replaceChildren(text ? element("p", { class: "empty" }, text) : "");
  }

  show(answer) {
    this.answer = answer;
    this.rows = answer.rows;
    this.page = 0;
    this.order = null;
    this.pager.hidden = false;
    this.draw();
  }

  turn(by) {
    const last = Math.max(0, Math.ceil(this.rows.length / this.rowsPerPage) - 1);
    this.page = Math.min(last, Math.max(0, this.page + by));
    this.draw();
    this.scroller.scrollTop = 0;
  }

  sortBy(name) {
    const isDown = this.order?.name === name && !this.order.isDown;
    this.order = { name, isDown };
    this.rows = [...this.answer.rows].sort((one, other) => compare(one[name], other[name]) * (isDown ? -1 : 1));
    this.page = 0;
    this.draw();
  }

  draw() {
    const { columns } = this.answer;
    const first = this.page * this.rowsPerPage;
    const rows = this.rows.slice(first, first + this.rowsPerPage);
    const head = columns.map((column) => element("th", {
      scope: "col", class: isNumeric(column) ? "number" : null, "aria-sort": this.sortOf(column.name),
      title: [column.description, column.type, column.unit].filter(Boolean).join(" · "),
    }, element("button", { class: "plain head", type: "button", onclick: () => this.sortBy(column.name) },
      plain(column.name),
      this.order?.name === column.name ? (this.order.isDown ? " ↓" : " ↑") : "")));
    const body = rows.map((row) => this.row(row, columns));
    this.scroller.replaceChildren(element("table", {}, element("caption", { class: "off-screen" }, this.caption),
      element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
    const last = first + rows.length;
    const more = this.answer.truncated ? ", there are more" : "";
    setText(this.count, rows.length === 0 ? "No rows."
      : `${grouped(first + 1)}–${grouped(last)} of ${grouped(this.rows.length)}${more}`);
    this.previous.disabled = first === 0;
    this.next.disabled = last >= this.rows.length;
  }

  row(row, columns) {
    const cells = columns.map((column) => element("td", { class: isNumeric(column) ? "number" : null },
      cellText(row[column.name])));
    if (!this.onRow) return element("tr", {}, cells);
    const open = () => this.onRow(row);
    return element("tr", {
      class: "open", tabindex: 0, onclick: open, onkeydown: (event) => {
        if (event.key === "Enter") open();
      },
    }, cells);
  }

  sortOf(name) {
    if (this.order?.name !== name) return null;
    return this.order.isDown ? "descending" : "ascending";
  }
}

export function isNumeric(column) {
  return /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL)/.test(column.type) && !column.type.endsWith("]");
}

/** A value as text; what is long is cut, and whole in its title. */
export function cellText(value) {
  if (value === null || value === undefined) return element("span", { class: "faint" }, "–");
  if (typeof value === "number") return String(Number.isInteger(value) ? value : Number(value.toPrecision(9)));
  const text = plain(typeof value === "object" ? JSON.stringify(value) : timeText(String(value)));
  return text.length > 120 ? element("span", { title: text.slice(0, 2_000) }, `${text.slice(0, 119)}…`) : text;
}

/** 2026-11-20T05:00:00.000000Z → 2026-11-20 05:00:00 */
function timeText(text) {
  const found = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d+)?Z$/.exec(text);
  if (!found) return text;
  const fraction = (found[3] ?? "").replace(/0+$/, "").replace(/^\.$/, "");
  return `${found[1]} ${found[2]}${fraction}`;
}

function compare(one, other) {
  if (one === other) return 0;
  if (one === null || one === undefined) return 1;
  if (other === null || other === undefined) return -1;
  if (typeof one === "object") return JSON.stringify(one) < JSON.stringify(other) ? -1 : 1;
  return one < other ? -1 : 1;
}
