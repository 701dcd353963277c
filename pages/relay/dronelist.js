// A strip for each drone: battery, altitude, speed and course, fix, and how long ago it was heard. A silent one turns
// into a grey ghost; it never disappears.

import { byId, element, setAttribute, setText } from "../shared/dom.js";
import { counter, grouped, number } from "../shared/format.js";
import { Rows } from "../shared/rows.js";
import { fixWords } from "./words.js";

export class DroneList {
  constructor(model, { onChoose }) {
    this.model = model;
    this.search = byId("drone-search");
    this.order = byId("drone-order");
    this.rows = new Rows(byId("drone-rows"), {
      height: 32, columnWidth: 412, key: (drone) => drone.drone_id, make: makeRow, onChoose, onOpen: onChoose,
      fill: (row, drone) => this.fillRow(row, drone),
    });
    this.search.addEventListener("input", () => this.refresh());
    this.order.addEventListener("change", () => this.refresh());
  }

  refresh() {
    const wanted = this.search.value.trim().toLowerCase();
    let drones = [...this.model.drones.values()];
    if (wanted) drones = drones.filter((drone) => drone.drone_id.toLowerCase().includes(wanted));
    drones.sort(orders[this.order.value] ?? orders.silent);
    this.rows.show(drones);
    byId("drones-none").hidden = drones.length > 0;
    setText(byId("drones-none"), wanted ? "No drone has this name." : "No drone has been heard yet.");
    setText(byId("tab-drones"), `Drones ${grouped(this.model.drones.size)}`);
  }

  /** Counters tick; the order, which facts change, is brought up to date as well. */
  tick() {
    if (byId("drones").hidden) return;
    this.refresh();
  }

  fillRow(row, drone) {
    const { parts } = row;
    const isGhost = this.model.isGhost(drone);
    setAttribute(row, "class", `rows-item drone-row${isGhost ? " ghost" : ""}${drone.located ? "" : " unlocated"}`);
    setAttribute(row, "title", isGhost ? "Silent for longer than expected" : null);
    setText(parts.name, drone.drone_id);
    const battery = drone.battery_pct;
    setText(parts.percent, Number.isFinite(battery) ? `${number(battery, 0)} %` : "–");
    const mood = battery < 15 ? "critical" : battery < 30 ? "warning" : "";
    setAttribute(parts.meter, "class", `meter ${mood}`);
    parts.meter.firstElementChild.style.width = `${Math.max(0, Math.min(100, battery ?? 0))}%`;
    setText(parts.altitude, Number.isFinite(drone.alt_m) ? `${number(drone.alt_m, 0)} m` : "–");
    setText(parts.speed, Number.isFinite(drone.ground_speed_mps) ? `${number(drone.ground_speed_mps, 1)} m/s` : "–");
    const hasCourse = Number.isFinite(drone.heading_deg);
    parts.arrow.style.transform = hasCourse ? `rotate(${drone.heading_deg}deg)` : "";
    setText(parts.arrow, hasCourse ? "↑" : "");
    setText(parts.fix, fixWords(drone));
    setText(parts.heard, counter(this.model.silence(drone)));
  }
}

const byName = (a, b) => (a.drone_id < b.drone_id ? -1 : a.drone_id > b.drone_id ? 1 : 0);
const orders = {
  silent: (a, b) => a.heardAt - b.heardAt || byName(a, b),
  battery: (a, b) => (a.battery_pct ?? 101) - (b.battery_pct ?? 101) || byName(a, b),
  name: byName,
};

function makeRow() {
  const parts = {
    name: element("span", { class: "mono strong" }), percent: element("span", { class: "right" }),
    meter: element("span", { class: "meter", "aria-hidden": "true" }, element("i")),
      altitude: element("span", { class: "right" }),
    arrow: element("span", { class: "arrow", "aria-hidden": "true" }), speed: element("span", { class: "right" }),
    fix: element("span", { class: "fix" }), heard: element("span", { class: "heard" }),
  };
  const row = element("div", {},
    element("span", { class: "dot", "aria-hidden": "true" }), parts.name,
      element("span", { class: "battery" }, parts.percent, parts.meter),
    parts.altitude, element("span", { class: "right" }, parts.arrow, parts.speed), parts.fix, parts.heard);
  row.parts = parts;
  return row;
}
