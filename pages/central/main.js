// The explorer from top to bottom: the address says what is asked, the histogram is asked first, then the open tab,
// then the fields and the archive's state. Each view asks for itself; nothing here knows how it draws.

import { byId, element, setText } from "../shared/dom.js";
import { dateUTC, milliseconds } from "../shared/format.js";
import { getJSON } from "../shared/http.js";
import { restoreTheme, toggleTheme } from "../shared/theme.js";
import { change, filters, filtersDiffer, onChange, state } from "./address.js";
import { drawBox } from "./archive.js";
import { ask, unlessSuperseded } from "./ask.js";
import { Fields } from "./fields.js";
import { FilterBar } from "./filterbar.js";
import { gapsOf, legend, narrowGaps } from "./gaps.js";
import { Histogram } from "./histogram.js";
import { openTab, showTab, tabs } from "./tabs.js";
import { twinBar } from "./twin.js";
import { addressTime } from "./words.js";

/** An archive of more days begins with its last week. */
const firstLookDays = 31;
const completenessMilliseconds = 15_000;
const known = { days: null, status: null, completeness: null };

restoreTheme();

const bar = new FilterBar();
const histogram = new Histogram(byId("histogram"), byId("readout"), {
  onZoom: (from, to) => change({ from: addressTime(from), to: addressTime(to) }),
  onRelay: (relay) => change({ relay_id: state().relay_id === relay || relay === "(other)" ? "" : relay }),
});
const fields = new Fields(byId("fields"));
let histogramAnswer = null;

function histogramView() {
  return {
    path: "/v1/explore/histogram", parameters: filters(), name: "histogram", answer: histogramAnswer,
    spark: (answer) => [
      `chosen.groupBy(F.window(time, "${answer.bucket_s ?? 3600} seconds").start.alias("time"), "relay_id").agg(`,
      '    F.count("*").alias("reports"), F.count_if("late").alias("late"),',
      '    F.count_if("time_suspect").alias("time_suspect"))',
    ].join("\n"),
  };
}

function fault(text) {
  setText(byId("fault"), text);
  byId("fault").hidden = !text;
}

// What is asked

async function loadHistogram() {
  const began = performance.now();
  try {
    histogramAnswer = await ask("histogram", "/v1/explore/histogram", filters(), { urgency: 1 });
    histogram.show(histogramAnswer);
    fault("");
    // For those who measure.
    document.documentElement.dataset.histogramMilliseconds = String(Math.round(performance.now() - began));
    document.documentElement.dataset.histogramAt = String(Math.round(performance.now()));
  } catch (error) {
    unlessSuperseded(fault)(error);
  }
}

async function loadCompleteness() {
  try {
    known.completeness = await getJSON("/v1/completeness");
    histogram.showGaps(gapsOf(known.completeness));
    narrowGaps(known.completeness).then((isNews) => {
      if (isNews) histogram.showGaps(gapsOf(known.completeness));
    }).catch(() => {});
    const through = milliseconds(known.completeness.complete_through);
    const seconds = (milliseconds(known.completeness.now) - through) / 1000;
    const isWhole = seconds < 120;
    const chip = byId("complete");
    chip.classList.toggle("good", isWhole);
    chip.classList.toggle("warning", !isWhole);
    const [start, end] = isWhole ? [11, 19] : [5, 16];
    setText(chip, Number.isFinite(through) ? `complete to ${dateUTC(through).slice(start, end)}` : "not complete yet");
    bar.offer("relay_id", known.completeness.relays.map((relay) => relay.relay_id));
    box();
  } catch (error) {
    setText(byId("complete"), "completeness unknown");
  }
}

async function loadDays() {
  known.days = await ask("days", "/v1/explore/days", {}, { urgency: 0 });
  box();
}

async function loadStatus() {
  known.status = await getJSON("/v1/status").catch(() => known.status);
  box();
}

function box() {
  if (known.days && known.status && known.completeness) drawBox(byId("box"), known);
}

/** What there is to choose from: asked last, of the whole selection in time. */
async function loadChoices() {
  const { from, to } = filters();
  for (const [name, top] of [["rule", 100], ["drone_id", 300]]) {
    const answer = await ask(`choices-${name}`, "/v1/explore/values", { field: name, top, from, to }, { urgency: 9 });
    bar.offer(name, answer.rows.map((row) => row.value));
  }
  const readings = await ask("choices-reading", "/v1/explore/values", { field: "readings", top: 100, from, to },
    { urgency: 9 });
  byId("reading-list").replaceChildren(...readings.rows.map((row) => element("option", { value: row.value })));
}

function load() {
  loadHistogram();
  openTab(state().tab, known);
  fields.load();
}

async function refresh() {
  load();
  loadStatus();
  loadCompleteness();
  await loadDays().catch(() => {});
}

// What is pressed

onChange((now, before) => {
  bar.show(now);
  if (filtersDiffer(now, before)) load();
  else if (JSON.stringify(now) !== JSON.stringify(before)) openTab(now.tab, known);
  if (now.from !== before.from || now.to !== before.to) loadChoices().catch(() => {});
});

byId("lanes").addEventListener("click", ({ currentTarget }) => {
  const on = currentTarget.getAttribute("aria-pressed") !== "true";
  currentTarget.setAttribute("aria-pressed", String(on));
  histogram.showLanes(on);
});
byId("zoom-out").addEventListener("click", () => histogram.zoomOut());
byId("complete").addEventListener("click", () => change({ tab: "archive" }));
byId("refresh").addEventListener("click", () => refresh());
byId("theme").addEventListener("click", () => toggleTheme());
byId("help-open").addEventListener("click", () => byId("help").showModal());
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("tabs").querySelector('[aria-selected="true"]')?.focus();
});
byId("histogram-legend").append(legend());
byId("histogram-twin").append(twinBar(histogramView));
byId("fields-twin").append(twinBar(() => fields.view()));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input, select, textarea, .CodeMirror")) return;
  const index = Number(event.key) - 1;
  if (index >= 0 && index < tabs.length) change({ tab: tabs[index].name });
  else if (event.key === "/") byId("filter-words").focus();
  else if (event.key === "r") refresh();
  else if (event.key === "?") byId("help").showModal();
  else return;
  event.preventDefault();
});

// The first look

async function begin() {
  bar.show(state());
  showTab(state().tab);
  loadStatus();
  loadCompleteness();
  setInterval(() => document.hidden || loadCompleteness(), completenessMilliseconds);
  try {
    await loadDays();
    const { rows } = known.days;
    if (rows.length > firstLookDays && Object.keys(filters()).length === 0) {
      const week = Date.parse(`${rows.at(-1).date}T00:00:00Z`) - 6 * 86_400_000;
      change({ from: addressTime(week) }, { replace: true });
    } else {
      load();
    }
  } catch (error) {
    unlessSuperseded(fault)(error);
    load();
  }
  await loadChoices().catch(() => {});
}

begin();
