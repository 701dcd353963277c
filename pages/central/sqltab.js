// SQL in the browser: schema beside it, Ctrl+Enter, a mark at an error's place, the answer as a table and a plot, all
// of it as a file. A statement is kept while this browser tab is open, never in the address: it may hold pseudonyms.

import { element, plain, setText } from "../shared/dom.js";
import { grouped, number } from "../shared/format.js";
import { post } from "../shared/http.js";
import { ask, unlessSuperseded } from "./ask.js";
import { Editor, placeOf } from "./editor.js";
import { guess, plot } from "./plot.js";
import { pictureButtons } from "./pictures.js";
import { ResultTable } from "./resulttable.js";
import { download, twinBar } from "./twin.js";

const shownRows = 10_000;
const kept = "columba.statement";
const first = `-- Reports by hour and relay. Ctrl+Enter runs it; names are completed with Ctrl+Space.
SELECT bucket('1 hour', observed_at) AS hour, relay_id, count(*) AS reports
FROM reports
GROUP BY ALL
ORDER BY hour
`;

export class SQLView {
  constructor(panel) {
    this.run = element("button", { class: "primary", type: "button", title: "Ctrl+Enter", onclick: () =>
      this.start() }, "Run");
    this.cancel = element("button", { type: "button", disabled: true, onclick: () => this.control?.abort() }, "Cancel");
    this.status = element("span", { class: "soft cut grow", role: "status" });
    this.holder = element("div", { class: "editor", id: "editor" });
    this.schema = element("div", { class: "schema", role: "region", "aria-label": "Schema" });
    this.figure = element("figure", { class: "figure" });
    this.plotHead = element("div", { class: "plot-head", hidden: true });
    const table = element("div", { class: "under-plot" });
    const parquet = element("button", { type: "button", class: "plain", title: "All rows as Parquet", onclick: () =>
      this.saveAs("parquet") }, "Parquet");
    panel.append(element("div", { class: "sql" }, this.schema, element("div", { class: "sql-main" }, this.holder,
      element("div", { class: "view-head" }, this.run, this.cancel, this.status,
        twinBar(() => this.view(), { extra: [parquet] })),
      element("div", { class: "scroll" }, this.plotHead, this.figure, table))));
    this.table = new ResultTable(table, { caption: "The answer" });
    this.table.clear("The answer stands here.");
  }

  async load() {
    if (this.editor) return this.editor.refresh();
    if (this.isLoading) return;
    this.isLoading = true;
    try {
      this.editor = await Editor.make(this.holder, sessionStorage.getItem(kept) ?? first, {
        onRun: () => this.start(), onChange: (text) => sessionStorage.setItem(kept, text),
      });
      this.editor.focus();
      await this.loadSchema();
    } catch (error) {
      unlessSuperseded((text) => setText(this.status, text))(error);
    }
  }

  view() {
    return { path: "/v1/sql", sql: this.editor?.text ?? "", name: "answer", answer: this.answer };
  }

  async saveAs(format) {
    try {
      await download(this.view(), format);
    } catch (error) {
      this.failed(error);
    }
  }

  // Schema

  async loadSchema() {
    const answer = await ask("schema", "/v1/explore/schema", {}, { urgency: 4 });
    const views = new Map();
    for (const row of answer.rows) {
      if (!views.has(row.view)) views.set(row.view, []);
      views.get(row.view).push(row);
    }
    this.editor.complete(Object.fromEntries([...views].filter(([name]) => name !== "macros")
      .map(([name, rows]) => [name, rows.map((row) => row.column)])));
    this.schema.replaceChildren(...[...views].map(([name, rows]) => element("details", { open: name === "reports" },
      element("summary", {}, plain(name), element("span", { class: "faint" }, ` ${rows.length}`)),
      element("ul", {}, rows.map((row) => this.schemaItem(name, row))))));
  }

  schemaItem(view, row) {
    const isMacro = view === "macros";
    const text = isMacro ? `${row.column}${row.type}` : row.column;
    return element("li", {}, element("button", {
      type: "button", class: "plain", title: `${plain(row.column)} ${plain(row.type)}. Puts it into the statement.`,
        onclick: () => this.editor.insert(text),
    }, element("span", { class: "mono" }, plain(row.column)),
      element("span", { class: "faint cut" }, plain(row.type))));
  }

  // Running

  async start() {
    if (!this.editor || this.control) return;
    this.editor.clearFault();
    this.control = new AbortController();
    this.run.disabled = true;
    this.cancel.disabled = false;
    const began = performance.now();
    const clock = setInterval(() => setText(this.status,
      `running, ${number((performance.now() - began) / 1000, 1)} s`), 100);
    try {
      const answer = await (await post("/v1/sql", { sql: this.editor.text, limit: shownRows },
        { signal: this.control.signal, timeoutSeconds: 3_600 })).json();
      this.show(answer, performance.now() - began);
    } catch (error) {
      this.failed(error);
    } finally {
      clearInterval(clock);
      this.control = null;
      this.run.disabled = false;
      this.cancel.disabled = true;
    }
  }

  failed(error) {
    if (error.name === "AbortError") return setText(this.status, "Cancelled: its process at central has ended.");
    const message = String(error.message ?? error);
    this.editor.showFault(message, placeOf(message));
    setText(this.status, "It failed: see the mark in the statement.");
  }

  show(answer, milliseconds) {
    this.answer = answer;
    const more = answer.truncated
      ? ` and more: the first ${grouped(shownRows)} are here, all of them in CSV, JSON and Parquet` : "";
    setText(this.status, `${grouped(answer.row_count)} rows${more} · ${number(milliseconds, 0)} ms`);
    this.status.title = `The archive is complete through ${answer.complete_through ?? "nothing yet"}`;
    this.table.show(answer);
    this.choosePlot(answer);
  }

  // A plot of the answer

  choosePlot(answer) {
    const how = answer.rows.length > 1 ? guess(answer.columns, answer.rows) : null;
    this.plotHead.hidden = how === null;
    this.figure.hidden = how === null;
    if (!how) return;
    const list = (label, name, values) => {
      const made = element("select", { "aria-label": label, onchange: () =>
        this.drawPlot({ ...this.how, [name]: made.value || undefined }) },
        values.map(([value, text]) => element("option", { value }, plain(text))));
      made.value = how[name] ?? "";
      return made;
    };
    const columns = answer.columns.map((column) => [column.name, column.name]);
    this.plotHead.replaceChildren(element("span", { class: "label" }, "plot"),
      list("Kind", "kind", [["line", "lines"], ["bar", "bars"], ["scatter", "points"], ["map", "map"]]),
        element("span", { class: "soft" }, "x"),
      list("x", "x", columns), element("span", { class: "soft" }, "y"), list("y", "y", columns),
        element("span", { class: "soft" }, "series"),
      list("Series", "by", [["", "–"], ...columns]), element("span", { class: "grow" }),
        ...pictureButtons(() => this.svg, () => "answer"));
    this.drawPlot(how);
  }

  drawPlot(how) {
    this.how = how.kind === "map" ? { lat: "lat", lon: "lon", ...how } : how;
    this.svg = plot(this.figure, this.how, this.answer, { title: "Plot of the answer", height: 280 });
  }
}
