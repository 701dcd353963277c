// The selection as one file: what it would be, before it is made.

import { element, setText } from "../shared/dom.js";
import { bytes, grouped } from "../shared/format.js";
import { filters } from "./address.js";
import { address, ask, unlessSuperseded } from "./ask.js";
import { showTwin } from "./twin.js";

const formats = [
  ["parquet", "Parquet", "for DuckDB, pandas, Polars, Spark; smallest, keeps types"],
    ["csv", "CSV", "for spreadsheets and anything else; lists as JSON"],
  ["geojson", "GeoJSON", "for QGIS and other maps"], ["ndjson", "NDJSON", "one JSON object a line"],
];

export class ExportView {
  constructor(panel) {
    this.rows = new Map();
    this.status = element("p", { class: "soft", role: "status" });
    const lines = formats.map(([format, name, note]) => {
      const size = element("td", { class: "number" }, "–");
      const link = element("a", { class: "button", download: `reports.${format}` }, "Download");
      this.rows.set(format, { size, link });
      return element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "soft" }, note), size,
        element("td", {}, link));
    });
    panel.append(element("div", { class: "scroll padded" },
      element("h2", {}, "All reports of the selection, as one file"),
      element("p", { class: "soft" },
        "Central writes it while it reads; names are not in it. For all the archive, read the lake itself."),
      element("table", { class: "export" }, element("thead", {},
        element("tr", {}, ["format", "", "about", ""].map((head, index) =>
        element("th", { scope: "col", class: index === 2 ? "number" : null }, head)))), element("tbody", {}, lines)),
      this.status,
      element("p", {}, element("button", { type: "button", onclick: () => showTwin(this.view(), "curl") },
        "Copy as curl, pandas or Spark")),
      element("h3", { class: "label" }, "The files themselves"),
      element("pre", { class: "twin-text" },
        ["duckdb:  SELECT count(*) FROM delta_scan('/srv/columba/lake/reports') WHERE date = '2026-11-20'",
        'pandas:  DeltaTable("/srv/columba/lake/reports").to_pandas(partitions=[("date", "=", "2026-11-20")])',
        'Polars:  pl.scan_delta("/srv/columba/lake/reports").filter(pl.col("date") == date(2026, 11, 20)).collect()',
        `Spark:   spark.read.format("delta").load("/srv/columba/lake/reports").where("date = '2026-11-20'")`,
      ].join("\n"))));
  }

  view() {
    return { path: "/v1/export", parameters: filters(), name: "reports", hasSQL: false };
  }

  async load() {
    for (const [format, { link }] of this.rows) link.href = address("/v1/export", { ...filters(), format });
    setText(this.status, "estimating…");
    try {
      for (const [format] of formats) {
        const { rows, bytes: size } = await ask("estimate", "/v1/export", { ...filters(), format, estimate: "true" },
          { urgency: 5 });
        setText(this.rows.get(format).size, bytes(size));
        setText(this.status, `${grouped(rows)} reports. Sizes are measured on the first ${grouped(2_000)}.`);
      }
    } catch (error) {
      unlessSuperseded((text) => setText(this.status, text))(error);
    }
  }
}
