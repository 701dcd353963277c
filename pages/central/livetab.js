// The last hour by arrival at central, over one EventSource: it is ahead of the archive. Closed while another tab is
// open.

import { drawing, element, plain, setText } from "../shared/dom.js";
import { clockUTC, counter, grouped, milliseconds, number } from "../shared/format.js";
import { LiveStream } from "../shared/stream.js";
import { ask, unlessSuperseded } from "./ask.js";
import { linear, nice, short, ticks, timeTicks } from "./scale.js";
import { twinBar } from "./twin.js";

const severities = [["critical", "C"], ["warning", "W"], ["info", "I"]];

export class LiveView {
  constructor(panel) {
    this.state = element("span", { class: "chip", role: "status" }, "connecting");
    this.tiles = element("div", { class: "tiles" });
    this.figure = element("figure", { class: "figure", "aria-label": "Reports a minute" });
    this.relays = element("div", {});
    this.rules = element("div", {});
    this.alerts = element("div", {});
    const card = (title, body) => element("section", { class: "card" }, element("h3", { class: "label" }, title), body);
    panel.append(
      element("div", { class: "view-head" }, this.state,
        element("span", { class: "soft grow" }, "the last hour by arrival, ahead of the archive"),
        twinBar(() => ({ path: "/v1/live", parameters: {}, name: "live", hasSQL: false, answer: {}, }))),
      element("div", { class: "scroll live" }, this.tiles, this.figure,
        element("div", { class: "cards" }, card("Relays", this.relays), card("Alerts by rule", this.rules),
          card("Latest alerts", this.alerts))));
  }

  load() {
    if (this.stream) return;
    this.stream = new LiveStream("/v1/live/stream", {
      handlers: { live: (data) => this.show(data) },
      onState: (state) => this.became(state), stallSeconds: 12,
    });
    this.stream.open();
    this.loadAlerts();
  }

  close() {
    this.stream?.close();
    this.stream = null;
  }

  became(state) {
    setText(this.state, state === "stale" ? "nothing heard: trying again" : state);
    this.state.className = state === "live" ? "chip good" : "chip warning";
  }

  show(data) {
    if (!data) return;
    this.data = data;
    const tile = (name, value, note) => element("div", { class: "tile" }, element("span", { class: "label" }, name),
      element("strong", {}, value), element("span", { class: "faint" }, note));
    const lateness = data.lateness_s.last_5_minutes;
    this.tiles.replaceChildren(
      tile("reports, last minute", grouped(data.reports.last_minute), `${grouped(data.reports.last_hour)} in the hour`),
      tile("drones, 5 min", grouped(data.drones.last_5_minutes), `${grouped(data.drones.last_hour)} in the hour`),
      tile("lateness p95", lateness.p95 === null ? "–" : `${number(lateness.p95, 1)} s`, lateness.longest === null
        ? "" : `longest ${counter(lateness.longest)}`),
      tile("alerts, last hour", grouped(data.alerts.last_hour),
        severities.map(([name, letter]) => `${letter} ${data.alerts.open[name] ?? 0}`).join("  ") + " open"));
    this.drawMinutes(data);
    this.relays.replaceChildren(table(["relay", "a minute", "in the hour", "last arrival"], data.relays.map((relay) => [
      plain(relay.relay_id), number(relay.reports_per_minute, 1), grouped(relay.reports_last_hour),
        clockUTC(milliseconds(relay.last_arrival))])));
    this.rules.replaceChildren(table(["rule", "raised"],
      data.alerts.by_rule.map((rule) => [mark(rule.severity, plain(rule.rule)), grouped(rule.raised)])));
    if (data.alerts.last_hour !== this.alertsSeen) {
      this.alertsSeen = data.alerts.last_hour;
      this.loadAlerts();
    }
  }

  async loadAlerts() {
    try {
      const { alerts } = await ask("alerts", "/v1/alerts", { limit: 12 }, { urgency: 6 });
      this.alerts.replaceChildren(table(["raised (UTC)", "rule", "drone", "state"], alerts.map((alert) => [
        clockUTC(milliseconds(alert.raised_at)), mark(alert.severity, plain(alert.rule)),
          plain(alert.drone_id), plain(alert.state)])));
    } catch (error) {
      unlessSuperseded((text) => this.alerts.replaceChildren(element("p", { class: "fault" }, text)))(error);
    }
  }

  drawMinutes(data) {
    const width = Math.max(320, this.figure.clientWidth);
    const height = 140;
    const minutes = data.minutes.map((minute) => ({ ...minute, at: milliseconds(minute.time) }))
      .sort((one, other) => one.at - other.at);
    const end = milliseconds(data.now);
    const x = linear([end - 3_600_000, end], [56, width - 10]);
    const most = nice(Math.max(1, ...minutes.map((minute) => minute.reports)), 3);
    const y = linear([0, most], [height - 24, 8]);
    const slot = Math.max(1, (width - 66) / 60 - 1);
    const bars = minutes.filter((minute) => minute.at >= end - 3_660_000).flatMap((minute) => {
      const start = Math.max(56, x(minute.at));
      const counts = ["reports", "late", "alerts"].map((name) => `${grouped(minute[name])} ${name}`).join(", ");
      const title = drawing("title", {}, `${clockUTC(minute.at)}: ${counts}`);
      return [
        drawing("rect", { class: "bar in-time", x: start, width: slot, y: y(minute.reports),
          height: y(0) - y(minute.reports) }, title),
        drawing("rect", { class: "bar late", x: start, width: slot, y: y(minute.late), height: y(0) - y(minute.late) }),
        minute.alerts > 0 ? drawing("path", { class: "alert-mark",
          d: `M${start + slot / 2} ${y(minute.reports) - 9}l4 7h-8z` }) : null];
    });
    const lines = ticks(0, most, 3).flatMap((value) => [drawing("line",
      { class: "rule", x1: 56, x2: width - 10, y1: y(value), y2: y(value) }),
      drawing("text", { class: "tick end", x: 50, y: y(value) + 4 }, short(value))]);
    const times = timeTicks(end - 3_600_000, end - 120_000, 8)
      .map(({ at, text }) => drawing("text", { class: "tick middle", x: x(at), y: height - 8 }, text));
    this.figure.replaceChildren(drawing("svg",
      { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": `Reports a minute: ${grouped(data.reports.last_minute)} in the last one` }, ...lines,
        ...bars.filter(Boolean), ...times));
  }
}

function mark(severity, text) {
  const letter = severities.find(([name]) => name === severity)?.[1] ?? "?";
  return [element("span", { class: `mark small ${severity}`, title: severity }, letter), " ", text];
}

function table(heads, rows) {
  if (rows.length === 0) return element("p", { class: "faint" }, "nothing in the last hour");
  return element("table", {}, element("thead", {}, element("tr", {},
    heads.map((head, index) => element("th", { scope: "col", class: index && typeof rows[0][index] === "string"
    && /^[\d.,–]/.test(rows[0][index]) ? "number" : null }, head)))),
    element("tbody", {}, rows.map((row) => element("tr", {},
      row.map((cell) => element("td", { class: typeof cell === "string" && /^[\d.,]+$/.test(cell) ? "number" : null },
      cell))))));
}
