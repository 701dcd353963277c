// The marks on the console's map: a drone with its course, an alert's circle. What is there by the thousand is drawn
// once as a picture and then copied: a browser copies a picture a hundred times faster than it draws a curve.

import { colour } from "../shared/theme.js";
import { letters } from "./words.js";

/** Pictures by what they show; colours are part of the name, so that a change of theme makes new ones. */
const pictures = new Map();
/** Courses are drawn in steps of so many degrees. */
const courseStep = 15;

/** Draws `paint` around x, y; the same name is painted once. */
function stamp(context, name, x, y, size, paint) {
  let picture = pictures.get(name);
  if (!picture) {
    picture = document.createElement("canvas");
    picture.width = 2 * size;
    picture.height = 2 * size;
    const pen = picture.getContext("2d");
    pen.scale(2, 2);
    pen.translate(size / 2, size / 2);
    paint(pen);
    pictures.set(name, picture);
  }
  context.drawImage(picture, x - size / 2, y - size / 2, size, size);
}

/** An arrow where the course is known, else a dot; a ghost is hollow and grey. */
export function drawDrone(context, x, y, size, degrees, isGhost) {
  const [stroke, halo] = [colour(isGhost ? "--ghost" : "--drone"), colour("--panel")];
  const hasCourse = Number.isFinite(degrees) && size > 3;
  const course = hasCourse ? Math.round(degrees / courseStep) * courseStep : 0;
  stamp(context, `drone ${stroke} ${halo} ${isGhost} ${size} ${hasCourse} ${course % 360}`, x, y, 4 * size, (pen) => {
    pen.beginPath();
    if (hasCourse) arrow(pen, 0, 0, size, course);
    else pen.arc(0, 0, size * 0.75, 0, 2 * Math.PI);
    pen.fillStyle = stroke;
    pen.strokeStyle = isGhost ? stroke : halo;
    pen.lineWidth = isGhost ? 1.5 : 1;
    if (!isGhost) pen.fill();
    if (isGhost || size > 3) pen.stroke();
  });
}

function arrow(context, x, y, size, degrees) {
  const angle = ((degrees - 90) * Math.PI) / 180;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  context.moveTo(x + size * 1.35 * c, y + size * 1.35 * s);
  context.lineTo(x + size * (-0.9 * c - 0.85 * s), y + size * (-0.9 * s + 0.85 * c));
  context.lineTo(x - size * 0.4 * c, y - size * 0.4 * s);
  context.lineTo(x + size * (-0.9 * c + 0.85 * s), y + size * (-0.9 * s - 0.85 * c));
  context.closePath();
}

export function circle(context, x, y, radius, stroke, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.strokeStyle = stroke;
  context.lineWidth = width;
  context.stroke();
}

const ranks = { info: 0, warning: 1, critical: 2 };

/** What a circle is drawn for, the most urgent last: on top. Sorted once for all movements of the map. */
export function openAlerts(model) {
  const open = [];
  for (const alert of model.alerts.values()) {
    if ((alert.state === "raised" || alert.state === "acknowledged") && !alert.late) open.push(alert);
  }
  return open.sort((a, b) => (a.state === "raised") - (b.state === "raised")
    || ranks[a.severity] - ranks[b.severity] || a.raisedAt - b.raisedAt);
}

/** Thousands at once: a small ring for each, the more urgent one where two would cover each other. */
export function drawCrowd(context, marks) {
  const taken = new Set();
  for (let index = marks.length - 1; index >= 0; index -= 1) {
    const { alert, x, y } = marks[index];
    const cell = (x >> 3) * 65_536 + (y >> 3);
    if (taken.has(cell)) continue;
    taken.add(cell);
    const [stroke, width] = [colour(`--${alert.severity}-fill`), alert.state === "raised" ? 2 : 1];
    stamp(context, `ring ${stroke} ${width}`, x, y, 14, (picture) => circle(picture, 0, 0, 5, stroke, width));
  }
}

/** A ring with the severity's letter; filled while nobody has acknowledged it. */
export function drawAlert(context, alert, x, y) {
  const isRaised = alert.state === "raised";
  const fill = colour(`--${alert.severity}-fill`);
  circle(context, x, y, 13, fill, isRaised ? 2.5 : 1.25);
  if (isRaised) {
    context.globalAlpha = 0.2;
    context.fillStyle = fill;
    context.fill();
    context.globalAlpha = 1;
  }
  context.beginPath();
  context.arc(x + 10, y - 10, 6.5, 0, 2 * Math.PI);
  context.fillStyle = isRaised ? fill : colour("--panel");
  context.fill();
  context.strokeStyle = isRaised ? colour("--panel") : fill;
  context.lineWidth = 1;
  context.stroke();
  context.fillStyle = isRaised ? colour(`--on-${alert.severity}`) : colour("--ink");
  context.font = "700 9px Inter, system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(letters[alert.severity] ?? "?", x + 10, y - 9.5);
  context.textAlign = "start";
  context.textBaseline = "alphabetic";
}
