// The console from top to bottom: what the relay says goes into the model, what the model knows is drawn, what the
// operator does goes to the relay. One EventSource carries everything that changes; lists are fetched when it opens.

import { byId, element, plain } from "../shared/dom.js";
import { getJSON } from "../shared/http.js";
import { icon } from "../shared/icons.js";
import { LiveStream } from "../shared/stream.js";
import { restoreTheme, toggleTheme } from "../shared/theme.js";
import { AlertList } from "./alertlist.js";
import { acknowledgeAtOnce, decide, knowOperator, operatorName } from "./decide.js";
import { Detail } from "./detail.js";
import { DroneList } from "./dronelist.js";
import { FleetMap } from "./fleetmap.js";
import { Header, showStale } from "./header.js";
import { listKeys, showHelp, takeKeys } from "./keys.js";
import { Model } from "./model.js";
import { Sound } from "./sound.js";

restoreTheme();

const model = new Model();
const sound = new Sound();
const header = new Header(model, { onShow: reveal, onAcknowledge: (alert) => act(alert, "ack") });
const map = new FleetMap(model, { onChooseDrone: chooseDrone, onChooseAlert: reveal });
const detail = new Detail(model, { onDecide: act, onShow: (alert) => map.showAlert(alert) });
const alerts = new AlertList(model, { onChoose: chosen, onOpen: open });
const drones = new DroneList(model, { onChoose: (drone) => chooseDrone(drone, false) });

// Drawing: once before the next frame, however many facts came. A hidden page has no frames and needs none.

const dirty = new Set();

function draw(...parts) {
  const isFirst = dirty.size === 0;
  for (const part of parts) dirty.add(part);
  if (!isFirst) return;
  if (document.hidden) setTimeout(drawNow, 50);
  else requestAnimationFrame(drawNow);
}

function drawNow() {
  const parts = new Set(dirty);
  dirty.clear();
  if (parts.has("alerts")) alerts.refresh();
  if (parts.has("alerts") || parts.has("header")) header.refresh();
  if (parts.has("drones")) drones.tick();
  if (parts.has("drones") || parts.has("map")) map.refresh();
  else if (parts.has("alerts")) map.redraw();
  // For those who measure: when the newest alert was on the screen.
  if (parts.has("alerts")) document.documentElement.dataset.drawnAt = String(
    Math.round(performance.timeOrigin + performance.now()));
}

// Facts

const stream = new LiveStream("/v1/console/stream", {
  handlers: {
    hello: (hello) => {
      model.saidHello(hello);
      knowOperator(hello.operator);
      fetchLists();
      draw("header", "map");
    },
    status: (status) => {
      model.saidStatus(status);
      if (detail.isWaiting) detail.refresh();
    },
    drones: ({ drones: heard }) => {
      model.heardDrones(heard);
      draw("drones");
    },
    alert: heardAlert, late_alert: heardAlert, alert_state: heardAlert,
    problem: ({ code }) =>
      note(code === "too_many_followers" ? "Too many pages follow this relay; this one waits for its turn." : code),
  },
  onState: () => tick(),
});

function heardAlert(alert) {
  const { alert: changed, what } = model.heardAlert(alert);
  if (!changed) return;
  if (what === "raised") {
    alerts.arrived(changed);
    if (changed.severity === "critical" && !changed.late) sound.play();
  }
  if (changed.alert_id === detail.alertID) detail.open(changed);
  draw("alerts");
}

async function fetchLists() {
  model.listRequested();
  const wanted = [
    ["/v1/alerts?folded=true&limit=10000", (answer) => model.listed(answer.alerts)],
    ["/v1/drones/summary", (answer) => model.boardListed(answer.drones)],
    ["/v1/drones/tracks", (answer) => model.tracksListed(answer.tracks)],
  ];
  await Promise.all(wanted.map(async ([address, take]) => {
    try {
      take(await getJSON(address));
      draw("alerts", "drones", "map");
    } catch (error) {
      note(`${address}: ${error.message}`);
    }
  }));
  document.documentElement.dataset.ready = "true";
}

function tick() {
  showStale(stream.state === "stale", stream.silentSeconds, model.now() - stream.silentSeconds * 1000);
  if (stream.state === "stale") return;
  header.refresh();
  alerts.tick();
  drones.tick();
  map.drones?.redraw();
  sound.tick(model.emergencies().length);
}

// What the operator does

function chosen(alert) {
  map.choose({ alert: alert.alert_id, drone: alert.drone_id });
  if (detail.alertID) open(alert);
}

function open(alert) {
  map.choose({ alert: alert.alert_id, drone: alert.drone_id });
  showDetail(true);
  detail.open(alert);
}

function reveal(alert) {
  alerts.reveal(alert);
  open(alert);
}

function chooseDrone(drone, scroll = true) {
  map.choose({ drone: drone.drone_id, alert: null });
  if (scroll) {
    showDetail(false);
    drones.refresh();
    drones.rows.choose(drone.drone_id, { tell: false });
  }
}

function showDetail(isOpen) {
  byId("drones").hidden = isOpen;
  byId("detail").hidden = !isOpen;
  for (const id of ["drone-search", "drone-order"]) byId(id).hidden = isOpen;
  byId("detail-close").hidden = !isOpen;
  byId("tab-alert").disabled = !isOpen;
  byId("tab-drones").setAttribute("aria-selected", String(!isOpen));
  byId("tab-alert").setAttribute("aria-selected", String(isOpen));
  document.querySelector("main").classList.toggle("reading", isOpen);
  if (!isOpen) {
    detail.close();
    map.choose({ alert: null });
    drones.refresh();
  }
}

async function act(alert, action) {
  if (!alert || alert.state === "closed") return;
  const position = alerts.rows.positions.get(alert.alert_id);
  const changed = await decide(alert, action);
  if (changed) took(changed, position);
}

async function actAtOnce(alert) {
  if (!alert || alert.state === "closed") return;
  if (!operatorName()) return act(alert, "ack");
  const position = alerts.rows.positions.get(alert.alert_id);
  try {
    took(await acknowledgeAtOnce(alert), position);
  } catch (error) {
    note(error.message);
  }
}

/** What was decided sinks in the list; the cursor stays for the next one, unless the alert is being read. */
function took(changed, position) {
  heardAlert(changed);
  alerts.refresh();
  if (!detail.alertID && alerts.rows.chosenKey === changed.alert_id) alerts.rows.moveTo(position ?? 0);
  byId("alert-rows").focus({ preventScroll: true });
}

function note(text) {
  const line = element("p", {}, plain(text));
  byId("notes").append(line);
  setTimeout(() => line.remove(), 6_000);
}

/** The alert that a key means: the chosen one, else the oldest emergency. */
function meant() {
  return alerts.rows.chosen ?? model.emergencies()[0] ?? null;
}

takeKeys({
  a: () => act(meant(), "ack"), A: () => actAtOnce(meant()), s: () => act(meant(), "shelve"),
    c: () => act(meant(), "close"),
  m: () => meant() && map.showAlert(meant()), e: () => model.emergencies()[0] && reveal(model.emergencies()[0]),
  o: () => meant() && open(meant()), Escape: () => showDetail(false), "/": () => alerts.search.focus(),
  d: () => {
    showDetail(false);
    byId("drone-rows").focus();
  },
  f: () => byId("map-fit").click(), n: () => sound.toggle(), t: toggleTheme, g: () => alerts.rows.moveTo(0),
    G: () => alerts.rows.moveTo(Infinity),
  ...Object.fromEntries([1, 2, 3, 4, 5].map((digit) => [String(digit), () => alerts.setFilterAt(digit - 1)])),
}, { list: alerts.rows });
listKeys(drones.rows);
byId("theme").append(icon("theme"));
byId("theme").addEventListener("click", toggleTheme);
byId("help-open").addEventListener("click", showHelp);
byId("tab-drones").addEventListener("click", () => showDetail(false));
byId("detail-close").addEventListener("click", () => showDetail(false));

// For tests and for those who look with a browser's tools: read it, nothing here depends on it.
globalThis.columba = { model, stream, map, alerts };

const settings = await getJSON("/pages/settings.json").catch(() => ({ map: null }));
map.start(settings.map);
stream.open();
setInterval(tick, 1_000);
header.clocks();
