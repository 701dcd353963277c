// Light or dark: as the system has it, or as the reader chose. And the theme's colours for what is drawn on a canvas.

const key = "columba.theme";
const listeners = new Set();
const cache = new Map();

/** Puts the choice of an earlier visit in force. */
export function restoreTheme() {
  const chosen = localStorage.getItem(key);
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

export function toggleTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem(key, next);
  changed();
}

/** Calls `listener` after each change: canvases have to be drawn again. */
export function onThemeChange(listener) {
  listeners.add(listener);
}

function changed() {
  cache.clear();
  for (const listener of listeners) listener();
}

/** The value of a colour of theme.css in force now: colour("--ink") → "rgb(15, 27, 39)". */
export function colour(name) {
  if (!cache.has(name)) {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    probe.hidden = true;
    document.body.append(probe);
    cache.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return cache.get(name);
}
