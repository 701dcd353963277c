// The views behind the tabs: each is made when it is first opened and asks when it is looked at.

import { byId, element } from "../shared/dom.js";
import { change } from "./address.js";
import { ArchiveView } from "./archive.js";
import { ChartsView } from "./charts.js";
import { ExportView } from "./exporttab.js";
import { LiveView } from "./livetab.js";
import { MapView } from "./mapview.js";
import { ReportsView } from "./reports.js";
import { SQLView } from "./sqltab.js";
import { StatisticsView } from "./stats.js";

export const tabs = [
  { name: "map", title: "Map", make: MapView }, { name: "table", title: "Table", make: ReportsView },
  { name: "charts", title: "Charts", make: ChartsView }, { name: "sql", title: "SQL", make: SQLView },
  { name: "stats", title: "Statistics", make: StatisticsView }, { name: "live", title: "Live", make: LiveView },
  { name: "export", title: "Export", make: ExportView }, { name: "archive", title: "Archive", make: ArchiveView },
];

let opened = null;

function tabOf(name) {
  return tabs.find((tab) => tab.name === name) ?? tabs[0];
}

/** Shows the tab's panel, without asking anything. */
export function showTab(name) {
  const chosen = tabOf(name);
  const list = byId("tabs");
  if (!list.firstChild) build(list);
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.button.setAttribute("aria-selected", String(isChosen));
    tab.button.tabIndex = isChosen ? 0 : -1;
    tab.panel.hidden = !isChosen;
  }
  if (opened && opened !== chosen) opened.view?.close?.();
  opened = chosen;
  chosen.view ??= new chosen.make(chosen.panel);
  return chosen;
}

/** Shows it, and it asks for what the address says. `known`: the archive's days and completeness. */
export function openTab(name, known) {
  const chosen = showTab(name);
  if (known.days) chosen.view.defaultPeriod = periodOf(known.days);
  return chosen.view.load(known);
}

function build(list) {
  for (const [index, tab] of tabs.entries()) {
    tab.panel = element("div", { class: `view view-${tab.name}`, role: "tabpanel", id: `panel-${tab.name}`,
      "aria-label": tab.title, hidden: true });
    tab.button = element("button", {
      type: "button", role: "tab", id: `tab-${tab.name}`, "aria-controls": tab.panel.id,
        title: `${tab.title} (${index + 1})`,
      onclick: () => change({ tab: tab.name }), onkeydown: (event) => arrow(event, index),
    }, tab.title);
    list.append(tab.button);
    byId("panels").append(tab.panel);
  }
}

function arrow(event, index) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const next = tabs[(index + by + tabs.length) % tabs.length];
  change({ tab: next.name });
  next.button.focus();
}

/** All days there are: what a statistic is about when neither it nor the bar says a time. */
function periodOf(days) {
  if (days.rows.length === 0) return null;
  const week = new Date(Date.parse(`${days.rows.at(-1).date}T00:00:00Z`) - 6 * 86_400_000).toISOString().slice(0, 10);
  return { from: days.rows[0].date > week ? days.rows[0].date : week };
}
