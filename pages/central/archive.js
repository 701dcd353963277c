// The archive's state: a box that is always there, and a tab with every relay.

import { element, plain, setText } from "../shared/dom.js";
import { bytes, dateUTC, duration, grouped, milliseconds } from "../shared/format.js";
import { change, filters } from "./address.js";
import { ask, unlessSuperseded } from "./ask.js";
import { twinBar } from "./twin.js";

/** days: /v1/explore/days, status: /v1/status, completeness: /v1/completeness. */
export function drawBox(holder, { days, status, completeness }) {
  const line = (name, value, title = "") => [element("dt", { title }, name), element("dd", { title }, value)];
  const now = milliseconds(days.now);
  const through = milliseconds(completeness.complete_through);
  const waiting = completeness.relays.reduce((sum, relay) => sum + relay.waiting, 0);
  const gaps = completeness.relays.reduce((sum, relay) => sum + relay.gap_count, 0);
  const span = days.rows.length > 0 ? `${grouped(days.rows.length)} since ${days.rows[0].date}` : "none yet";
  const waitingTitle = "Records that relays or central still hold; holes in their numbers";
  holder.replaceChildren(element("dl", { class: "facts" },
    line("reports", grouped(days.reports)), line("files", `${grouped(days.files)}, ${bytes(days.bytes)}`),
    line("days", span), line("compacted", compactedText(days, now)),
    line("duplicates", duplicatesText(status.archive), "Further copies, kept apart and never counted twice"),
    line("complete", Number.isFinite(through) ? dateUTC(through) : "not yet",
      "Everything that the relays received up to then is in the archive"),
    line("waiting", `${grouped(waiting)}, gaps ${grouped(gaps)}`, waitingTitle)));
}

function compactedText(days, now) {
  return days.last_compaction ? `${duration((now - milliseconds(days.last_compaction)) / 1000)} ago` : "not yet";
}

function duplicatesText({ duplicates, conflicts }) {
  return `${grouped(duplicates - conflicts)}, conflicts ${grouped(conflicts)}`;
}

export class ArchiveView {
  constructor(panel) {
    this.status = element("span", { class: "soft grow", role: "status" });
    this.body = element("tbody", {});
    this.days = element("div", {});
    const heads = ["relay", "state", "reports", "newest report", "late", "clock suspect", "duplicates", "waiting",
      "gaps", "last contact", "complete through"];
    panel.append(element("div", { class: "view-head" }, this.status, twinBar(() => this.view())),
      element("div", { class: "scroll padded" },
        element("table", { id: "relays" }, element("caption", { class: "off-screen" }, "Relays"),
        element("thead", {}, element("tr", {}, heads.map((head, index) =>
          element("th", { scope: "col", class: index > 1 ? "number" : null }, head)))), this.body),
      element("h3", { class: "label spaced" }, "Days, from the table's log"), this.days));
  }

  view() {
    return { path: "/v1/explore/archive", parameters: filters(), name: "archive", answer: this.answer };
  }

  /** What the page knows already: completeness and days. */
  async load(known) {
    setText(this.status, "asking…");
    try {
      this.answer = await ask("archive", "/v1/explore/archive", filters(), { urgency: 4 });
      this.draw(this.answer, known);
    } catch (error) {
      unlessSuperseded((text) => setText(this.status, text))(error);
    }
  }

  draw(answer, { days, completeness }) {
    const states = new Map((completeness?.relays ?? []).map((relay) => [relay.relay_id, relay]));
    this.body.replaceChildren(...answer.rows.map((row) => {
      const relay = states.get(row.relay_id);
      const cells = [stateMark(relay?.state), grouped(row.reports), time(row.newest_report), grouped(row.late),
        grouped(row.time_suspect),
        grouped(row.duplicates ?? NaN), grouped(row.waiting ?? NaN), grouped(relay?.gap_count ?? NaN),
          time(row.last_contact), time(row.complete_through)];
      return element("tr", {}, element("th", { scope: "row" }, element("button", {
        type: "button", class: "plain", title: "Only this relay", onclick: () => change({ relay_id: row.relay_id }),
      }, plain(row.relay_id))), cells.map((cell, index) =>
        element("td", { class: index > 0 ? "number" : null }, cell)));
    }));
    setText(this.status, `${grouped(answer.rows.length)} relays in the selection and the fleet`);
    const most = Math.max(1, ...(days?.rows ?? []).map((day) => day.reports));
    this.days.replaceChildren(element("table", { class: "days" },
      element("tbody", {}, [...(days?.rows ?? [])].reverse().slice(0, 400).map((day) => element("tr", {},
      element("th", { scope: "row" }, element("button",
        { type: "button", class: "plain", title: "Only this day", onclick: () => change(dayFilter(day.date)) },
        day.date)),
      element("td", { class: "number" }, grouped(day.reports)),
      element("td", { class: "bar-cell" }, element("i",
        { class: "share", style: { width: `${(100 * day.reports) / most}%` } })),
      element("td", { class: "number soft" }, `${grouped(day.files)} files`),
        element("td", { class: "number soft" }, bytes(day.bytes)))))));
  }
}

function dayFilter(date) {
  return { from: `${date}T00:00:00Z`, to: new Date(Date.parse(`${date}T00:00:00Z`) + 86_400_000).toISOString()
    .replace(".000", "") };
}

function time(text) {
  return text ? dateUTC(milliseconds(text)).slice(5) : "–";
}

function stateMark(state) {
  const kinds = { live: ["L", "good", "live"], silent: ["S", "warning", "silent"], retired: ["R", "info", "retired"] };
  const [letter, kind, title] = kinds[state] ?? ["–", "info", "unknown to the fleet"];
  return element("span", { class: `chip ${kind}`, title }, letter === "–" ? "–" : `${letter} ${title}`);
}
