// A view as a line for another tool: curl, pandas, Spark. The SQL comes from central, which says what it ran.

import { address } from "./ask.js";

/** '…' for a shell. */
function shell(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** "…" for Python: JSON's strings are Python's. */
function python(text) {
  return JSON.stringify(text);
}

/** '…' for SQL. */
function literal(text) {
  return `'${text.replaceAll("'", "''")}'`;
}

function certificates() {
  return location.protocol === "https:" ? " --cert analyst.pem --key analyst.key --cacert ca.pem" : "";
}

/** view: {path, parameters} of a GET, or {path: "/v1/sql", sql}. */
export function curlOf(view) {
  const target = shell(location.origin + view.path);
  if (view.sql !== undefined) {
    const body = JSON.stringify({ sql: view.sql, format: "csv" });
    const header = "-H 'Content-Type: application/json' --data-binary @-";
    return `curl${certificates()} ${header} ${target} <<'STATEMENT'\n${body}\nSTATEMENT`;
  }
  const items = Object.entries({ ...view.parameters, format: "csv" })
    .filter(([, value]) => value !== null && value !== undefined && value !== "");
  return [`curl${certificates()} -G ${target}`,
    ...items.map(([name, value]) => `  --data-urlencode ${shell(`${name}=${value}`)}`)].join(" \\\n");
}

export function pandasOf(view, columns = []) {
  if (view.sql !== undefined) {
    return ["import io", "import pandas as pd", "import requests", "",
      `statement = ${python(view.sql)}`,
      `answer = requests.post(${python(`${location.origin}/v1/sql`)}, json={"sql": statement, "format": "csv"})`,
      "answer.raise_for_status()", "df = pd.read_csv(io.StringIO(answer.text))"].join("\n");
  }
  const where = location.origin + address(view.path, { ...view.parameters, format: "csv" });
  const times = columns.filter((column) => /^(TIMESTAMP|DATE)/.test(column.type)).map((column) => python(column.name));
  const dates = times.length > 0 ? `, parse_dates=[${times.join(", ")}]` : "";
  return `import pandas as pd\n\ndf = pd.read_csv(${python(where)}${dates})`;
}

const reportTime = "case when time_suspect then received_at else observed_at end";

/** The filters as conditions of Spark SQL. from and to are times as central resolved them. */
export function sparkConditions(filters, period = {}) {
  const found = [];
  const [from, to] = [filters.from && (period.from ?? filters.from), filters.to && (period.to ?? filters.to)];
  if (from) found.push(`date >= ${literal(from.slice(0, 10))}`, `${reportTime} >= timestamp ${literal(from)}`);
  if (to) found.push(`date <= ${literal(to.slice(0, 10))}`, `${reportTime} < timestamp ${literal(to)}`);
  for (const name of ["relay_id", "drone_id"]) if (filters[name]) found.push(`${name} = ${literal(filters[name])}`);
  if (filters.cell) found.push(`startswith(cell, ${literal(filters.cell)})`);
  for (const flag of ["late", "time_suspect"]) if (filters[flag]) found.push(filters[flag] === "true" ? flag
    : `not ${flag}`);
  if (filters.bbox) {
    const [west, south, east, north] = filters.bbox.split(",");
    const within = Number(west) <= Number(east) ? `lon between ${west} and ${east}`
      : `(lon >= ${west} or lon <= ${east})`;
    found.push(`lat between ${south} and ${north}`, within);
  }
  for (const term of wordTerms(filters.words ?? "")) {
    const has = term.isPrefix ? `exists(words, w -> startswith(w, ${literal(term.text)}))`
      : `array_contains(words, ${literal(term.text)})`;
    found.push(term.isExcluded ? `not ${has}` : has);
  }
  return found;
}

/** As central reads them (WordFilter.swift): word, word*, -word, "two words". */
export function wordTerms(text) {
  const found = [];
  for (const [, minus, quoted, bare] of text.matchAll(/(-?)(?:"([^"]*)"|(\S+))/g)) {
    const isPrefix = quoted === undefined && bare.length > 1 && bare.endsWith("*");
    const word = quoted ?? (isPrefix ? bare.slice(0, -1) : bare);
    if (word) found.push({ text: word, isPrefix, isExcluded: minus === "-" });
  }
  return found;
}

/** `view.spark`: what is asked of the DataFrame `chosen`. */
export function sparkOf(view, answer = {}) {
  const head = ['LAKE = "/srv/columba/lake"  # as central.json5 has it: lake'];
  if (view.sql !== undefined) {
    return [...head, "for table in (\"reports\", \"duplicates\", \"alerts\"):",
      '    spark.read.format("delta").load(f"{LAKE}/{table}").createOrReplaceTempView(table)',
      "# Spark's own dialect: Columba's macros (bucket, in_circle, …) are DuckDB's only.",
      `df = spark.sql(${python(view.sql)})`].join("\n");
  }
  const conditions = sparkConditions(view.parameters ?? {}, answer);
  const lines = ["from pyspark.sql import functions as F", "", ...head,
    'reports = spark.read.format("delta").load(f"{LAKE}/reports")', `time = F.expr(${python(reportTime)})`];
  if (view.parameters?.rule) {
    lines.push('alerts = spark.read.format("delta").load(f"{LAKE}/alerts")',
      `raised = alerts.where(${python(`kind = 'alert' and rule = ${literal(view.parameters.rule)}`)})`,
      'broken = raised.select("drone_id", "boot", "seq").distinct()',
      'reports = reports.join(broken, ["drone_id", "boot", "seq"], "left_semi")');
  }
  lines.push(`chosen = reports${conditions.map((condition) => `.where(${python(condition)})`).join("")}`);
  lines.push(`df = ${view.spark ? view.spark(answer) : "chosen"}`);
  return lines.join("\n");
}
