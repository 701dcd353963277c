// Every view's data twin: the same rows as JSON and CSV at their address, the SQL behind them, and the view as a line
// for other tools.

import { byId, element, setText } from "../shared/dom.js";
import { get, post } from "../shared/http.js";
import { address } from "./ask.js";
import { curlOf, pandasOf, sparkOf } from "./copyas.js";
import { save } from "./download.js";

const kinds = [["sql", "SQL"], ["curl", "curl"], ["pandas", "pandas"], ["spark", "Spark"]];

/**
 * A row of buttons. `view()` gives what is shown now: {path, parameters, name, answer, formats, spark} of a GET, or
 * {path: "/v1/sql", sql, name, answer}.
 */
export function twinBar(view, { extra = [] } = {}) {
  const open = (kind) => () => showTwin(view(), kind);
  const button = (text, title, onclick) => element("button", { class: "plain", type: "button", title, onclick }, text);
  return element("span", { class: "twin" }, ...extra,
    button("Show SQL", "The SQL of this view", open("sql")),
    button("Copy as…", "This view as SQL, curl, pandas or Spark", open("curl")),
    button("JSON", "The rows of this view as JSON", () => take(view(), "json")),
    button("CSV", "The rows of this view as CSV", () => take(view(), "csv")));
}

/** The rows as a file, asked again: what is on the screen may be a page of them. */
export async function download(view, format) {
  const answer = view.sql !== undefined ? await post("/v1/sql", { sql: view.sql, format }, { timeoutSeconds: 120 })
    : await get(address(view.path, { ...view.parameters, format }), { timeoutSeconds: 120 });
  save(await answer.blob(), `${view.name}.${format}`);
}

function take(view, format) {
  download(view, format).catch((error) => {
    byId("fault").hidden = false;
    setText(byId("fault"), error.message);
  });
}

async function statement(view) {
  if (view.sql !== undefined) return view.sql;
  if (view.hasSQL === false) return `-- ${view.path} comes from central's own records, not from a statement.`;
  return (await get(address(view.path, { ...view.parameters, format: "sql" }))).text();
}

async function textOf(view, kind) {
  switch (kind) {
    case "curl": return curlOf(view);
    case "pandas": return pandasOf(view, view.answer?.columns);
    case "spark": return sparkOf(view, view.answer);
    default: return statement(view);
  }
}

let dialog = null;

/** The dialog with the SQL, or the line for another tool. */
export function showTwin(view, kind) {
  dialog ??= makeDialog();
  dialog.show(view, kind);
}

function makeDialog() {
  const text = element("pre", { class: "twin-text", tabindex: 0, id: "twin-text" });
  const where = element("p", { class: "soft twin-where" });
  const copied = element("span", { class: "soft", role: "status" });
  let shown = null;
  const tabs = kinds.map(([kind, name]) => element("button", {
    type: "button", role: "tab", "data-kind": kind, "aria-controls": "twin-text", onclick: () => show(shown, kind),
  }, name));
  const copy = element("button", { class: "primary", type: "button", onclick: () => copyText(text, copied) }, "Copy");
  const holder = element("dialog", { class: "wide", "aria-label": "This view for other tools" },
    element("div", { class: "dialog-body" }, element("div", { class: "tabs", role: "tablist" }, tabs), text, where,
      element("div", { class: "actions" }, copied, copy,
        element("button", { type: "button", onclick: () => holder.close() }, "Close"))));
  document.body.append(holder);

  async function show(view, kind) {
    shown = view;
    for (const tab of tabs) tab.setAttribute("aria-selected", String(tab.dataset.kind === kind));
    setText(copied, "");
    setText(text, "…");
    setText(where, view.sql !== undefined ? "The same rows: POST /v1/sql"
      : `The same rows: ${location.origin}${address(view.path, view.parameters)} (also with format=csv)`);
    if (!holder.open) holder.showModal();
    setText(text, await textOf(view, kind).catch((error) => error.message));
  }
  return { show };
}

async function copyText(text, status) {
  try {
    await navigator.clipboard.writeText(text.textContent);
    setText(status, "Copied.");
  } catch {
    // Without the right to the clipboard the text is chosen, so that Ctrl+C takes it.
    getSelection().selectAllChildren(text);
    setText(status, "Press Ctrl+C.");
  }
}
