// Questions to central. Each view has one place: a new question there takes back the one before, which ends its process
// at central. At most two run at once, the histogram before the rest: a first look does not wait for the details.

import { ProblemError, get } from "../shared/http.js";

const atOnce = 2;
const busyTries = 5;
const timeoutSeconds = 60;
const waiting = [];
const places = new Map();
let running = 0;
let order = 0;

/** /v1/explore/bins?… with what has a value. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** JSON of an address. Throws `Superseded` where the same place has asked something else meanwhile. */
export async function ask(place, path, parameters = {}, { urgency = 5 } = {}) {
  places.get(place)?.abort(new Superseded());
  const control = new AbortController();
  places.set(place, control);
  await turn(urgency, control.signal);
  try {
    return await answer(address(path, parameters), control.signal);
  } catch (error) {
    throw control.signal.aborted ? new Superseded() : error;
  } finally {
    running -= 1;
    next();
    if (places.get(place) === control) places.delete(place);
  }
}

/** Takes back what this place asks. */
export function takeBack(place) {
  places.get(place)?.abort(new Superseded());
}

export class Superseded extends Error {}

/** Shows what went wrong, unless it was only overtaken. */
export function unlessSuperseded(show) {
  return (error) => {
    if (error instanceof Superseded) return;
    show(error instanceof ProblemError ? error.message : String(error.message ?? error), error);
  };
}

async function answer(where, signal) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await (await get(where, { signal, timeoutSeconds, headers: { Accept: "application/json" } })).json();
    } catch (error) {
      if (error.code !== "queries_busy" || attempt >= busyTries) throw error;
      await pause((error.retryAfterSeconds ?? 1) * 500 * attempt, signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Superseded());
    }, { once: true });
  });
}

function turn(urgency, signal) {
  return new Promise((resolve, reject) => {
    const entry = { urgency, order: (order += 1), start: resolve };
    waiting.push(entry);
    waiting.sort((one, other) => one.urgency - other.urgency || one.order - other.order);
    signal.addEventListener("abort", () => {
      const index = waiting.indexOf(entry);
      if (index < 0) return;
      waiting.splice(index, 1);
      reject(new Superseded());
    }, { once: true });
    next();
  });
}

function next() {
  while (running < atOnce && waiting.length > 0) {
    running += 1;
    waiting.shift().start();
  }
}
