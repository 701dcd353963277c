// One alert in full: what happened when, to the millisecond; what the drone sent, as it came; where the alert was sent.

import { byId, element, plain } from "../shared/dom.js";
import { clockLocal, dateUTC, duration, milliseconds, preciseUTC } from "../shared/format.js";
import { get, getJSON } from "../shared/http.js";
import { letters, placeWords, stateWords, valueAgainstLimit } from "./words.js";

const deliveryWords = {
  pending: ["on its way", "warning"], delivered: ["delivered", "good"], given_up: ["given up", "critical"],
  dropped: ["pushed out of a full queue", "critical"], held_back: ["held back: one of a storm", "warning"],
};
const maxReportCharacters = 20_000;

export class Detail {
  constructor(model, { onDecide, onShow }) {
    this.model = model;
    this.onDecide = onDecide;
    this.onShow = onShow;
    this.holder = byId("detail");
    this.alertID = null;
    this.full = null;
    this.report = null;
  }

  open(alert) {
    if (this.alertID !== alert.alert_id) {
      this.full = null;
      this.report = null;
    }
    this.alertID = alert.alert_id;
    this.draw();
    this.fetch();
  }

  close() {
    this.alertID = null;
  }

  /** The alert changed, or something is still on its way: ask again. */
  refresh() {
    if (this.alertID) this.fetch();
  }

  get isWaiting() {
    return this.full?.deliveries?.some((delivery) => delivery.state === "pending") ?? false;
  }

  async fetch() {
    const id = this.alertID;
    const address = `/v1/alerts/${encodeURIComponent(id)}`;
    try {
      this.full = await getJSON(address);
      if (this.alertID !== id) return;
      this.draw();
    } catch (error) {
      if (this.alertID === id && !this.full) this.full = { fault: error.message };
    }
    if (this.report === null && this.alertID === id) {
      this.report = await reportOf(`${address}/report`);
      if (this.alertID === id) this.draw();
    }
  }

  draw() {
    const alert = this.model.alerts.get(this.alertID);
    if (!alert) return;
    const scrolled = [...this.holder.querySelectorAll("section")].map((section) => section.scrollTop);
    const hadFocus = this.holder.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    this.holder.replaceChildren(element("div", { class: "detail" },
      this.facts(alert), this.timeline(alert), this.sources(alert)));
    [...this.holder.querySelectorAll("section")].forEach((section, index) => {
      section.scrollTop = scrolled[index] ?? 0;
    });
    if (hadFocus) this.holder.querySelector(`[data-action="${hadFocus}"]`)?.focus();
  }

  facts(alert) {
    const where = this.model.placeOf(alert);
    const words = placeWords(where, this.model.hello?.position);
    const rows = [
      ["Drone", `${alert.drone_id}${alert.seq === undefined ? "" : ` · boot ${alert.boot} · report ${alert.seq}`}`],
      ["Citizen", alert.citizen ? plain(alert.citizen) : null],
      ["Value · limit", valueAgainstLimit(alert)],
      ["Place", words.long ? `${words.short} · ${words.long}` : words.short],
      ["State", `${stateWords(alert, this.model.now())}${alert.by ? ` · ${plain(alert.by)}` : ""}`],
      ["Raised", alert.count > 1 ? `${alert.count} times` : "once"],
      ["Rule", `version ${alert.rule_version}${alert.late ? " · of a replayed report" : ""}`],
    ];
    const button = (action, title, key) => element("button", {
      "data-action": action, disabled: alert.state === "closed" && action !== "show",
      onclick: () => (action === "show" ? this.onShow(alert) : this.onDecide(alert, action)),
    }, title, element("kbd", {}, key));
    return element("section", {},
      element("h3", {}, element("span", { class: `mark ${alert.severity}` }, letters[alert.severity] ?? "?"),
        element("span", { class: "cut" }, plain(alert.rule))),
      element("dl", {}, rows.filter(([, value]) => value).map(([name, value]) =>
        [element("dt", {}, name), element("dd", {}, value)])),
      element("div", { class: "actions" }, button("ack", "Acknowledge", "a"), button("shelve", "Shelve", "s"),
        button("close", "Close", "c"), where ? button("show", "On the map", "m") : null));
  }

  timeline(alert) {
    const moments = momentsOf(alert, this.full);
    let before = null;
    const lines = moments.map(({ at, what, note }) => {
      const since = before === null ? "" : sinceWords(at - before);
      before = at;
      return element("li", {},
        element("div", { class: "when" },
          element("time", { class: "mono", title: `${dateUTC(at)} UTC, ${clockLocal(at)} here` },
          preciseUTC(at)), element("span", { class: "since mono" }, since)),
        element("p", {}, what), note ? element("p", { class: "note" }, plain(note)) : null);
    });
    return element("section", {}, element("h4", { class: "label" }, "Timeline, UTC"),
      element("ol", { class: "timeline" }, lines));
  }

  sources(alert) {
    const deliveries = this.full?.deliveries ?? [];
    const lines = deliveries.map(({ target, kind, state, tries, last_error: fault }) => {
      const [words, mood] = deliveryWords[state] ?? [state, ""];
      return element("li", {}, element("span", { class: `chip ${mood}` }, words), element("strong", {}, plain(target)),
        element("span", { class: "faint cut", title: fault ? plain(fault) : null },
          `${kind}${tries > 1 ? ` · ${tries} tries` : ""}${fault ? ` · ${plain(fault)}` : ""}`));
    });
    const nowhere = this.full?.fault
      ?? (this.full ? "Only on this page: no target is configured, or none wants it." : "…");
    const link = element(
      "a", { href: `/v1/alerts/${encodeURIComponent(alert.alert_id)}/report`, target: "_blank", rel: "noopener" },
      "As it came");
    return element("section", {},
      element("h4", { class: "label" }, "Sent to"),
      lines.length > 0 ? element("ul", { class: "deliveries" }, lines)
        : element("p", { class: "faint deliveries" }, nowhere),
      element("div", { class: "row-head" }, element("h4", { class: "label" }, "Report"),
        this.report?.text ? link : null),
      element("pre", { tabindex: 0, "aria-label": "The drone’s report" },
        this.report?.text ?? this.report?.fault ?? "…"));
  }
}

/** Everything with a time, in order. The note of a change is what its operator wrote. */
function momentsOf(alert, full) {
  const moments = [
    { at: milliseconds(alert.observed_at), what: "Observed by the drone" },
    { at: milliseconds(alert.received_at), what: "Received by the relay" },
    { at: milliseconds(alert.raised_at), what: "Alert raised and pushed" },
  ];
  if (alert.count > 1) moments.push({ at: alert.lastAt / 1000, what: `Raised again, ${alert.count} times in all` });
  const names = { raised: "Back from the shelf", acknowledged: "Acknowledged", shelved: "Shelved", closed: "Closed" };
  const changes = full?.changes
    ?? (alert.by ? [{ state: alert.state, by: alert.by, note: alert.note, at: alert.changed_at,
    outcome: alert.outcome }] : []);
  for (const change of changes) {
    const outcome = change.outcome ? ` as ${change.outcome.replace("_", " ")}` : "";
    moments.push({ at: milliseconds(change.at),
      what: `${names[change.state] ?? change.state}${outcome} by ${plain(change.by)}`, note: change.note });
  }
  for (const delivery of full?.deliveries ?? []) {
    if (delivery.delivered_at) moments.push(
      { at: milliseconds(delivery.delivered_at), what: `Delivered to ${plain(delivery.target)}` });
  }
  return moments.filter(({ at }) => Number.isFinite(at)).sort((a, b) => a.at - b.at);
}

function sinceWords(passed) {
  if (passed < 10_000) return `+${Math.round(passed)} ms`;
  return `+${duration(passed / 1000)}`;
}

async function reportOf(address) {
  try {
    const text = await (await get(address)).text();
    return { text: plainLines(readable(text)) };
  } catch (error) {
    return { fault: error.message };
  }
}

/** Indented where it is whole; a long one is cut, the link gives all of it. */
function readable(text) {
  const short = text.length > maxReportCharacters ? `${text.slice(0, maxReportCharacters)}…` : text;
  try {
    return JSON.stringify(JSON.parse(short), null, 2).replace(
      /\[\n\s+("[^[\]{}]*")\n\s+\]/g, (list) => list.replace(/\n\s+/g, " "));
  } catch {
    return short;
  }
}

function plainLines(text) {
  return text.split("\n").map(plain).join("\n");
}
