// The keyboard, all the way: one letter an act, as the help lists them. Nothing is taken while somebody types.

import { byId, element } from "../shared/dom.js";

const help = [
  ["j k", "Next, previous alert"], ["Enter", "Open the alert"], ["Esc", "Close what is open"],
    ["a", "Acknowledge, with a note"],
  ["A", "Acknowledge at once"], ["s", "Shelve for a time"], ["c", "Close with an outcome"], ["m", "Show on the map"],
  ["e", "Oldest emergency"], ["1 … 5", "Open, unseen, shelved, closed, all"], ["/", "Filter alerts"], ["d", "Drones"],
  ["f", "All drones on the map"], ["n", "Sound on, off"], ["t", "Light, dark"], ["?", "This help"],
];

/** acts: key → function; those of `?` and the lists are here. */
export function takeKeys(acts, { list }) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    const isTyping = target.matches?.("input, textarea, select");
    if (isTyping) {
      if (event.key === "Escape") target.blur();
      return;
    }
    const own = target.closest?.(".rows, .leaflet-container, pre, button, a");
    const isElsewhere = own && own !== list.holder;
    const act = { ...acts, "?": showHelp, j: () => list.move(1), k: () => list.move(-1) }[event.key];
    if (act) {
      event.preventDefault();
      act();
    } else if (!isElsewhere) {
      list.handleKey(event);
    }
  });
}

export function showHelp() {
  const dialog = element("dialog", { class: "wide", "aria-labelledby": "help-title" });
  dialog.append(element("div", { class: "dialog-body" },
    element("h2", { id: "help-title" }, "Keys"),
    element("div", { class: "keys" }, help.map(([keys, what]) =>
      [element("span", {}, keys.split(" ").map((key) => (key === "…" ? " … " : element("kbd", {}, key)))),
        element("span", {}, what)])),
    element("p", { class: "soft" },
      "An emergency stays until a person acknowledges it: through reload, restart and lost connection. ",
      "Unseen and seen are kept apart from open and closed. ",
      "Grey, hollow drones have not been heard for longer than expected."),
    element("p", { class: "soft" }, "The same data for programs: ",
      ["/v1/alerts", "/v1/alerts?format=csv", "/v1/drones/summary", "/v1/drones/tracks", "/v1/status",
        "/openapi.json"].flatMap((address, index) =>
        [index > 0 ? " · " : "", element("a", { href: address, target: "_blank", rel: "noopener" }, address)])),
    element("div", { class: "actions" },
      element("button", { class: "primary", onclick: () => dialog.close(), autofocus: true }, "Close"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** The list of drones has its own arrows when it has the focus. */
export function listKeys(rows) {
  byId(rows.holder.id).addEventListener("keydown", (event) => {
    if (rows.handleKey(event)) event.stopPropagation();
  });
}
