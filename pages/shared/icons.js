// Small drawings for buttons: lines in the text's colour, no font and no picture needed.

import { drawing } from "./dom.js";

const paths = {
  sound: ["M3 6.5h2.5L9 3.5v9L5.5 9.5H3z", "M11.5 5.5a3.5 3.5 0 0 1 0 5", "M13.3 3.5a6.2 6.2 0 0 1 0 9"],
  silent: ["M3 6.5h2.5L9 3.5v9L5.5 9.5H3z", "M11.5 6.2l3.6 3.6", "M15.1 6.2l-3.6 3.6"],
  theme: ["M8 2.5a5.5 5.5 0 1 0 0 11z", "M8 2.5a5.5 5.5 0 0 1 0 11", "M6.5 3v10", "M5 4v8", "M3.5 6v4"],
  download: ["M8 2.5v7.5", "M5 7.2L8 10.2l3-3", "M3 13h10"],
  copy: ["M5.5 5.5h7v7.5h-7z", "M3.5 10.5v-7.5h7"],
  close: ["M4 4l8 8", "M12 4l-8 8"],
};

/** An icon of 16 units; hidden from screen readers, for the button itself says what it does. */
export function icon(name, size = 17) {
  return drawing("svg", {
    viewBox: "0 0 16 16", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": 1.4,
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  }, paths[name].map((d) => drawing("path", { d })));
}
