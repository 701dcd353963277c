// The two buttons that take a plot along.

import { element } from "../shared/dom.js";
import { pngBlob, save, saveText, svgText } from "./download.js";

/** svg() is the drawing on the screen, or null. */
export function pictureButtons(svg, name) {
  const button = (text, take) => element("button", {
    type: "button", class: "plain", title: `The plot as ${text}`, onclick: () => svg() && take(svg()),
  }, text);
  return [
    button("PNG", async (drawn) => save(await pngBlob(drawn), `${name()}.png`)),
    button("SVG", (drawn) => saveText(svgText(drawn), `${name()}.svg`, "image/svg+xml")),
  ];
}
