// The strip at the top and the banner of emergencies: what must be true at a glance.

import { byId, plain, setAttribute, setText } from "../shared/dom.js";
import { bytes, clockLocal, clockUTC, counter, duration, grouped } from "../shared/format.js";
import { uplinkWords, valueAgainstLimit } from "./words.js";

const uplinkStates = {
  up: ["connected", "good"], down: ["not connected", "critical"], unknown: ["not tried yet", "warning"],
  standalone: ["stand-alone", ""],
};
const levels = { normal: "", warning: "warning", releasing: "warning", alerts_only: "critical", full: "critical" };
const levelWords = {
  warning: "filling up", releasing: "nearly full: archived reports are let go early",
  alerts_only: "full: only reports with alerts are taken", full: "full: nothing is taken",
};

export class Header {
  constructor(model, { onShow, onAcknowledge }) {
    this.model = model;
    byId("banner-show").addEventListener("click", () => this.first && onShow(this.first));
    byId("banner-ack").addEventListener("click", () => this.first && onAcknowledge(this.first));
  }

  /** Once a second, and after facts. */
  refresh() {
    this.clocks();
    this.emergencies();
    const { status } = this.model;
    if (!status) return;
    this.uplink(status);
    this.buffer(status.buffer);
    const [heard, expected] = [this.model.heardCount, this.model.expectedCount];
    setText(byId("drones-heard"), grouped(heard));
    setText(byId("drones-expected"), grouped(expected));
    setAttribute(byId("drones-heard"), "class", heard < expected * 0.9 ? "state-raised" : null);
    setText(byId("station"), status.relay_id);
    const upFor = duration((this.model.now() - Date.parse(status.started_at)) / 1000);
    setText(byId("station-note"), `up ${upFor} · rules ${status.rules_version}`);
  }

  clocks() {
    const now = this.model.now();
    setText(byId("clock-utc"), clockUTC(now));
    setText(byId("clock-local"), clockLocal(now));
  }

  uplink(status) {
    const [word, mood] = uplinkStates[status.uplink.state] ?? ["unknown", ""];
    setText(byId("uplink-state"), word);
    setAttribute(byId("uplink-state"), "class", `chip ${mood}`);
    const words = uplinkWords(status, this.model.now());
    setText(byId("uplink-words"), words);
    byId("uplink-words").title = status.uplink.last_error ? plain(`${words} · ${status.uplink.last_error}`) : words;
  }

  buffer({ bytes: used, max_bytes: most, level }) {
    const share = most > 0 ? Math.min(100, (100 * used) / most) : 0;
    setText(byId("buffer-share"), `${share < 10 ? share.toFixed(1) : share.toFixed(0)} %`);
    setText(byId("buffer-bytes"), levelWords[level] ?? `of ${bytes(most)}`);
    const meter = byId("buffer-meter");
    setAttribute(meter, "class", `meter ${levels[level] ?? ""}`);
    setAttribute(meter, "aria-valuenow", share.toFixed(0));
    meter.firstElementChild.style.width = `${Math.max(1, share)}%`;
  }

  emergencies() {
    const all = this.model.emergencies();
    this.first = all[0] ?? null;
    const banner = byId("banner");
    if (banner.hidden === all.length > 0) banner.hidden = all.length === 0;
    document.title = `${all.length > 0 ? `(${all.length}) ` : ""}${this.model.hello?.relay_id ?? "Columba relay"}`;
    if (!this.first) return;
    const count = all.length === 1 ? "1 emergency, not acknowledged"
      : `${grouped(all.length)} emergencies, not acknowledged`;
    setText(byId("banner-count"), count);
    const parts = [this.first.rule, this.first.citizen, this.first.drone_id, valueAgainstLimit(this.first)];
    setText(byId("banner-text"), parts.filter((part) => part && part !== "–").map(plain).join(" · "));
    setText(byId("banner-age"), counter((this.model.now() - this.first.raisedAt) / 1000));
  }
}

let staleSince = null;

/** The whole page says that what it shows is old. */
export function showStale(isStale, silentSeconds, heardAt) {
  const band = byId("stale");
  document.body.classList.toggle("stale", isStale);
  if (band.hidden !== !isStale) band.hidden = !isStale;
  // The sentence stays as it is while it stands: a screen reader says it once. The counter beside it ticks.
  staleSince = isStale ? staleSince ?? heardAt : null;
  if (!isStale) return;
  setText(byId("stale-text"), `No word from the relay since ${clockUTC(staleSince)} UTC: what you see is from then. `
    + "New alerts do not appear here. Trying again…");
  setText(byId("stale-age"), counter(silentSeconds));
}
