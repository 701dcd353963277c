// What the page shows is kept in its address, behind the #: back and forward work, a link can be sent, and no server's
// log ever has the words that somebody filtered by. Only the names below are taken from it: names and pseudonyms of
// persons have no place there.

export const filterNames = ["from", "to", "relay_id", "drone_id", "rule", "words", "cell", "bbox", "late",
  "time_suspect"];
const viewNames = ["tab", "at", "measure", "x", "y", "by", "reading", "stat", "order"];
/** Parameters of a statistic stand behind this. */
const parameterPrefix = "p.";
const longest = 1_000;

const listeners = new Set();
let current = read();

function isKnown(name) {
  return filterNames.includes(name) || viewNames.includes(name)
    || (name.startsWith(parameterPrefix) && /^p\.[a-z_]{1,64}$/.test(name));
}

function read() {
  const found = {};
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (isKnown(name) && value !== "" && value.length <= longest) found[name] = value;
  }
  return found;
}

/** Everything, as {name: text}. */
export function state() {
  return current;
}

/** The filters alone: what a question about reports takes. */
export function filters(from = current) {
  const found = {};
  for (const name of filterNames) if (from[name]) found[name] = from[name];
  return found;
}

/** The parameters of the statistic that is shown. */
export function parameters() {
  const found = {};
  for (const [name, value] of Object.entries(current)) {
    if (name.startsWith(parameterPrefix)) found[name.slice(parameterPrefix.length)] = value;
  }
  return found;
}

export function parameterName(name) {
  return parameterPrefix + name;
}

/** Changes some of it; null and "" take a name away. `replace`: without a step in the history. */
export function change(changes, { replace = false } = {}) {
  const next = { ...current };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") delete next[name];
    else if (isKnown(name)) next[name] = String(value);
  }
  const text = new URLSearchParams(next).toString();
  if (text === new URLSearchParams(current).toString()) return;
  history[replace ? "replaceState" : "pushState"](null, "", `#${text}`);
  took(next);
}

/** Calls listener(state, before) after each change, whoever made it. */
export function onChange(listener) {
  listeners.add(listener);
}

function took(next) {
  const before = current;
  current = next;
  for (const listener of listeners) listener(current, before);
}

addEventListener("hashchange", () => {
  const next = read();
  if (new URLSearchParams(next).toString() !== new URLSearchParams(current).toString()) took(next);
});

/** Whether the filters differ. */
export function filtersDiffer(one, other) {
  return filterNames.some((name) => (one[name] ?? "") !== (other[name] ?? ""));
}
