// What the console knows: alerts, drones, the relay's figures. Facts go in, nothing is drawn here. Times of the relay
// are compared with the relay's clock (`now`), so that a tablet's wrong clock makes nobody look silent.

import { microseconds, milliseconds } from "../shared/format.js";

export const severities = ["critical", "warning", "info"];
const stateRank = { raised: 0, acknowledged: 1, shelved: 2, closed: 3 };
/** Points of a track: ten minutes. */
const trackMilliseconds = 600_000;
const maxTrackPoints = 120;

export class Model {
  constructor() {
    this.alerts = new Map();
    this.drones = new Map();
    this.tracks = new Map();
    this.status = null;
    this.hello = null;
    this.clockOffset = null;
    /** Alerts the stream told of while the list was being fetched. */
    this.touched = null;
    this.orphans = [];
  }

  /** The relay's time, in milliseconds. */
  now() {
    return Date.now() + (this.clockOffset ?? 0);
  }

  // Facts from the relay

  saidHello(hello) {
    this.hello = hello;
    this.heardTime(hello.now);
  }

  saidStatus(status) {
    this.status = status;
    this.heardTime(status.now);
  }

  heardTime(now) {
    const offset = milliseconds(now) - Date.now();
    // What the network's delay adds is always too little: the largest of the last offsets is the nearest.
    const known = this.clockOffset ?? -Infinity;
    this.clockOffset = Math.abs(offset - known) > 1500 ? offset : Math.max(offset, known - 2);
  }

  listRequested() {
    this.touched = new Set();
    this.orphans = [];
  }

  /** The complete list of the relay, one entry a situation. Answers nothing new to shout about: it is a list. */
  listed(alerts) {
    const touched = this.touched ?? new Set();
    const next = new Map();
    for (const alert of alerts) {
      const known = this.alerts.get(alert.alert_id);
      next.set(alert.alert_id, known && touched.has(alert.alert_id) ? known : prepared(alert));
    }
    for (const id of touched) if (!next.has(id) && this.alerts.has(id)) next.set(id, this.alerts.get(id));
    this.alerts = next;
    this.touched = null;
    for (const child of this.orphans) this.repeated(child);
    this.orphans = [];
  }

  /** An alert of the stream: new, changed, or a repeat of one that is open. Gives the alert it changed, and what. */
  heardAlert(alert) {
    if (alert.folded_into) {
      if (this.touched) this.orphans.push(alert);
      return { alert: this.repeated(alert), what: "repeated" };
    }
    const known = this.alerts.get(alert.alert_id);
    const next = prepared(alert);
    if (known) {
      next.count = Math.max(next.count, known.count);
      next.lastAt = Math.max(next.lastAt, known.lastAt);
    }
    this.alerts.set(alert.alert_id, next);
    this.touched?.add(alert.alert_id);
    return { alert: next, what: known ? "changed" : "raised" };
  }

  repeated(child) {
    const parent = this.alerts.get(child.folded_into);
    const at = microseconds(child.raised_at);
    if (!parent || at <= parent.lastAt) return parent ?? null;
    const next = { ...parent, count: parent.count + 1, lastAt: at };
    this.alerts.set(parent.alert_id, next);
    return next;
  }

  heardDrones(drones) {
    for (const drone of drones) {
      const known = this.drones.get(drone.drone_id);
      drone.heardAt = milliseconds(drone.last_heard);
      this.drones.set(drone.drone_id, drone);
      if (drone.located && (!known || known.lat !== drone.lat || known.lon !== drone.lon)) {
        this.addPoint(drone.drone_id, milliseconds(drone.observed_at), drone.lat, drone.lon);
      }
    }
  }

  /** The whole board. Drones that an earlier life of the relay knew stay as ghosts. */
  boardListed(drones) {
    this.heardDrones(drones);
  }

  tracksListed(tracks) {
    for (const { drone_id: id, points } of tracks) {
      const newer = this.tracks.get(id)?.filter((point) => point[0] > (points.at(-1)?.[0] ?? 0)) ?? [];
      this.tracks.set(id, [...points, ...newer]);
    }
  }

  addPoint(id, at, lat, lon) {
    const track = this.tracks.get(id) ?? [];
    if (track.length > 0 && at <= track.at(-1)[0]) return;
    track.push([at, lat, lon]);
    const oldest = this.now() - trackMilliseconds;
    while (track.length > maxTrackPoints || (track.length > 1 && track[0][0] < oldest)) track.shift();
    this.tracks.set(id, track);
  }

  // Questions

  get silentSeconds() {
    return this.hello?.silent_s ?? 180;
  }

  silence(drone) {
    return Math.max(0, (this.now() - drone.heardAt) / 1000);
  }

  isGhost(drone) {
    return this.silence(drone) > this.silentSeconds;
  }

  get heardCount() {
    let count = 0;
    for (const drone of this.drones.values()) if (!this.isGhost(drone)) count += 1;
    return count;
  }

  get expectedCount() {
    return Math.max(this.hello?.expected_drones ?? 0, this.drones.size);
  }

  /** Critical alerts that nobody has acknowledged, the oldest first. Late ones are the past: they wake nobody. */
  emergencies() {
    const found = [];
    for (const alert of this.alerts.values()) {
      if (alert.severity === "critical" && alert.state === "raised" && !alert.late) found.push(alert);
    }
    return found.sort((a, b) => a.raisedAt - b.raisedAt);
  }

  /** Counts for the filters, in one pass. */
  counts() {
    const counts = { open: 0, unseen: 0, shelved: 0, closed: 0, all: this.alerts.size };
    for (const { state } of this.alerts.values()) {
      if (state === "raised") counts.unseen += 1;
      if (state === "raised" || state === "acknowledged") counts.open += 1;
      else counts[state] += 1;
    }
    return counts;
  }

  /** The alerts of a filter, in an order. `text` is matched against rule, drone, citizen and severity. */
  select({ filter, text, order }) {
    const wanted = text.trim().toLowerCase();
    const found = [];
    for (const alert of this.alerts.values()) {
      if (!passes(alert.state, filter)) continue;
      if (wanted && !alert.words.includes(wanted)) continue;
      found.push(alert);
    }
    return found.sort(order === "newest" ? byAge : byUrgency);
  }

  /** Where the alert is, unless it is the 0/0 of a receiver without a fix. */
  placeOf(alert) {
    const place = alert.location;
    if (!place) return null;
    if (place.lat === 0 && place.lon === 0) {
      const drone = this.drones.get(alert.drone_id);
      if (!(drone?.located && drone.lat === 0 && drone.lon === 0)) return null;
    }
    return place;
  }
}

function prepared(alert) {
  const raisedAt = milliseconds(alert.raised_at);
  return {
    ...alert, raisedAt, count: alert.count ?? 1, lastAt: microseconds(alert.last_raised_at ?? alert.raised_at),
    changedAt: milliseconds(alert.changed_at),
    words: `${alert.rule} ${alert.drone_id} ${alert.citizen ?? ""} ${alert.severity}`.toLowerCase(),
  };
}

function passes(state, filter) {
  if (filter === "open") return state === "raised" || state === "acknowledged";
  if (filter === "unseen") return state === "raised";
  return filter === "all" || state === filter;
}

function byAge(a, b) {
  return b.raisedAt - a.raisedAt || (a.alert_id < b.alert_id ? -1 : 1);
}

/** Unseen before seen, what is late after what is now, critical first, then the newest. */
function byUrgency(a, b) {
  return stateRank[a.state] - stateRank[b.state] || Number(a.late ?? false) - Number(b.late ?? false)
    || severities.indexOf(a.severity) - severities.indexOf(b.severity) || byAge(a, b);
}
