// Reports over time: bars of reports in time and late, hatching where completeness knows of gaps, a lane for each
// relay. Dragging, or the keyboard, chooses a time and zooms into it.

import { drawing, setText } from "../shared/dom.js";
import { grouped, milliseconds, number } from "../shared/format.js";
import { timeText } from "./gaps.js";
import { linear, nice, short, ticks, timeTicks } from "./scale.js";

const left = 112;
const right = 14;
const top = 8;
const barsHeight = 84;
const axisHeight = 18;
const laneHeight = 15;
const mostLanes = 12;

export class Histogram {
  /** onZoom(from, to) with milliseconds; onRelay(relay). */
  constructor(holder, readout, { onZoom, onRelay }) {
    Object.assign(this, { holder, readout, onZoom, onRelay });
    this.data = null;
    this.gaps = [];
    this.lanes = true;
    this.cursor = null;
    this.anchor = null;
    this.svg = drawing("svg", {
      class: "histogram", tabindex: 0, role: "application",
      "aria-label": "Reports over time. Left and right choose an interval, Shift a span, Enter zooms in, minus out.",
      "aria-describedby": readout.id,
      onkeydown: (event) => this.pressed(event), onpointerdown: (event) => this.down(event),
      onpointermove: (event) => this.moved(event), onpointerup: (event) => this.up(event),
      onpointerleave: () => this.left(), onblur: () => this.left(),
    });
    holder.append(this.svg);
    new ResizeObserver(() => this.draw()).observe(holder);
  }

  /** The answer of /v1/explore/histogram. */
  show(answer) {
    const width = answer.bucket_s * 1000;
    const from = milliseconds(answer.from);
    const to = milliseconds(answer.to);
    const intervals = new Map();
    const relays = new Map();
    for (const row of answer.rows) {
      const at = milliseconds(row.time);
      const interval = intervals.get(at) ?? { at, reports: 0, late: 0, suspect: 0 };
      interval.reports += row.reports;
      interval.late += row.late;
      interval.suspect += row.time_suspect;
      intervals.set(at, interval);
      const relay = relays.get(row.relay_id) ?? { id: row.relay_id, reports: 0, late: 0, intervals: new Map() };
      relay.reports += row.reports;
      relay.late += row.late;
      relay.intervals.set(at, row);
      relays.set(row.relay_id, relay);
    }
    this.data = {
      from, to, width, intervals,
      relays: [...relays.values()].sort((one, other) => other.reports - one.reports || (one.id < other.id ? -1 : 1)),
      reports: sum(intervals.values(), "reports"), late: sum(intervals.values(), "late"),
      suspect: sum(intervals.values(), "suspect"),
    };
    this.cursor = null;
    this.anchor = null;
    this.draw();
  }

  /** Times that are not whole, by relay: [{relay, from, to, text}] in milliseconds. */
  showGaps(gaps) {
    this.gaps = gaps;
    this.draw();
  }

  showLanes(on) {
    this.lanes = on;
    this.draw();
  }

  get lanesShown() {
    return this.lanes && this.data ? this.data.relays.slice(0, mostLanes) : [];
  }

  // Drawing

  draw() {
    const { data } = this;
    const width = this.holder.clientWidth;
    if (!data || width < 200) return;
    const lanes = this.lanesShown;
    const height = top + barsHeight + axisHeight + lanes.length * laneHeight + (lanes.length > 0 ? 4 : 0);
    this.x = linear([data.from, data.to], [left, width - right]);
    this.drawn = { width, height };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    this.selection = drawing("rect", { class: "selection", y: top, height: height - top, width: 0 });
    this.svg.replaceChildren(
      hatching(), ...this.axes(width), ...this.gapMarks(lanes), ...this.bars(), ...this.gapStrips(),
      ...lanes.flatMap((lane, index) => this.lane(lane, index, width)), this.selection);
    this.mark();
  }

  axes(width) {
    const { data } = this;
    this.most = nice(Math.max(1, ...[...data.intervals.values()].map((interval) => interval.reports)), 3);
    const y = linear([0, this.most], [top + barsHeight, top]);
    this.y = y;
    const lines = ticks(0, this.most, 3).flatMap((value) => [
      drawing("line", { class: "rule", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      drawing("text", { class: "tick end", x: left - 6, y: y(value) + 3.5 }, short(value)),
    ]);
    const times = timeTicks(data.from, data.to, Math.max(2, Math.floor((width - left) / 90)))
      .flatMap(({ at, text, isMidnight }) => [
      drawing("line", { class: isMidnight ? "rule day" : "rule", x1: this.x(at), x2: this.x(at), y1: top, y2: top
        + barsHeight }),
      drawing("text", { class: isMidnight ? "tick middle strong" : "tick middle", x: this.x(at), y: top + barsHeight
        + 13 }, text),
    ]);
    return [...lines, ...times];
  }

  /** One path for each kind of report: hundreds of bars are two elements. */
  bars() {
    const paths = { reports: "", late: "" };
    for (const interval of this.data.intervals.values()) {
      const [start, length] = this.span(interval.at);
      const late = this.y(interval.late);
      paths.late += box(start, late, length, top + barsHeight - late);
      const whole = this.y(interval.reports);
      paths.reports += box(start, whole, length, late - whole);
    }
    return [
      drawing("path", { class: "bar in-time", d: paths.reports }),
        drawing("path", { class: "bar late", d: paths.late }),
    ];
  }

  span(at) {
    const start = Math.max(left, this.x(at));
    const end = Math.min(this.drawn.width - right, this.x(at + this.data.width));
    const gap = end - start > 4 ? 1 : 0;
    return [start, Math.max(0.75, end - start - gap)];
  }

  lane(relay, index, width) {
    const y = top + barsHeight + axisHeight + 4 + index * laneHeight;
    const most = Math.max(1, ...[...relay.intervals.values()].map((row) => row.reports));
    let inTime = "";
    let late = "";
    for (const [at, row] of relay.intervals) {
      const [start, length] = this.span(at);
      const tall = Math.max(1, (row.reports / most) * (laneHeight - 3));
      const tallLate = (row.late / most) * (laneHeight - 3);
      inTime += box(start, y + laneHeight - 2 - tall, length, tall - tallLate);
      if (tallLate > 0) late += box(start, y + laneHeight - 2 - tallLate, length, tallLate);
    }
    const label = drawing("text", {
      class: "tick lane-name", x: 4, y: y + 11, onclick: () => this.onRelay(relay.id),
    }, shortened(relay.id),
      drawing("title", {}, `${relay.id}: ${grouped(relay.reports)} reports. Click to see it alone.`));
    return [
      drawing("line", { class: "rule", x1: left, x2: width - right, y1: y + laneHeight - 1.5, y2: y
        + laneHeight - 1.5 }),
      drawing("path", { class: "bar in-time", d: inTime }), drawing("path", { class: "bar late", d: late }), label,
    ];
  }

  /** The gaps that can be seen: [gap, x, width]. */
  get visibleGaps() {
    const edge = this.drawn.width - right;
    return this.gaps.flatMap((gap) => {
      const start = Math.max(left, this.x(gap.from));
      const end = Math.min(edge, this.x(gap.to));
      return end > start ? [[gap, Math.min(start, edge - 3), Math.max(3, end - start)]] : [];
    });
  }

  /** Over the bars, so that a gap under a tall one is seen. */
  gapStrips() {
    return this.visibleGaps.map(([gap, x, width]) =>
      drawing("rect", { class: "gap strong", x, width, y: top + barsHeight - 5, height: 5 },
      drawing("title", {}, gap.text)));
  }

  gapMarks(lanes) {
    const marks = [];
    for (const [gap, start, length] of this.visibleGaps) {
      const index = lanes.findIndex((lane) => lane.id === gap.relay);
      const title = () => drawing("title", {}, gap.text);
      marks.push(drawing("rect", { class: "gap", x: start, width: length, y: top, height: barsHeight }, title()));
      if (index < 0) continue;
      const y = top + barsHeight + axisHeight + 4 + index * laneHeight;
      marks.push(drawing("rect", { class: "gap", x: start, width: length, y, height: laneHeight - 2 }, title()));
    }
    return marks;
  }

  // Choosing a time

  bucketAt(pixel) {
    const time = Math.min(this.data.to - 1, Math.max(this.data.from, this.x.invert(pixel)));
    return this.align(time);
  }

  /** The beginning of the interval a time is in: as the server counts them, or by length where there is none. */
  align(time) {
    const known = this.data.intervals.keys().next().value ?? this.data.from;
    const { width } = this.data;
    return known + Math.floor((time - known) / width) * width;
  }

  pixel(event) {
    return ((event.clientX - this.svg.getBoundingClientRect().left) * this.drawn.width) / this.svg.clientWidth;
  }

  down(event) {
    if (!this.data || event.button !== 0 || event.target.classList.contains("lane-name")) return;
    this.svg.setPointerCapture(event.pointerId);
    this.anchor = this.bucketAt(this.pixel(event));
    this.cursor = this.anchor;
    this.isDragging = true;
    this.mark();
  }

  moved(event) {
    if (!this.data) return;
    this.cursor = this.bucketAt(this.pixel(event));
    if (!this.isDragging) this.anchor = null;
    this.mark();
  }

  up() {
    if (!this.isDragging) return;
    this.isDragging = false;
    if (this.anchor !== this.cursor) this.zoomIn();
    this.anchor = null;
    this.mark();
  }

  left() {
    if (this.isDragging) return;
    this.cursor = null;
    this.anchor = null;
    this.mark();
  }

  pressed(event) {
    if (!this.data) return;
    const { width, from, to } = this.data;
    const keys = { ArrowLeft: -width, ArrowRight: width, PageUp: -10 * width, PageDown: 10 * width };
    if (event.key in keys) {
      const now = this.cursor ?? this.align(event.key === "ArrowLeft" || event.key === "PageUp" ? to : from);
      if (event.shiftKey) this.anchor ??= now;
      else this.anchor = null;
      this.cursor = Math.min(this.align(to - 1), Math.max(this.align(from), now + keys[event.key]));
    } else if (event.key === "Enter" && this.cursor !== null) {
      this.anchor ??= this.cursor;
      this.zoomIn();
    } else if (event.key === "-" || event.key === "Backspace") {
      this.zoomOut();
    } else if (event.key === "Escape") {
      this.cursor = null;
      this.anchor = null;
    } else {
      return;
    }
    event.preventDefault();
    this.mark();
  }

  get chosen() {
    if (this.cursor === null) return null;
    const anchor = this.anchor ?? this.cursor;
    return [Math.min(anchor, this.cursor), Math.max(anchor, this.cursor) + this.data.width];
  }

  zoomIn() {
    const [from, to] = this.chosen;
    this.onZoom(from, to);
  }

  zoomOut() {
    if (!this.data) return;
    const half = Math.max(this.data.width, (this.data.to - this.data.from) / 2);
    this.onZoom(this.data.from - half, this.data.to + half);
  }

  mark() {
    if (!this.selection) return;
    const { chosen } = this;
    if (!chosen) {
      this.selection.setAttribute("width", 0);
      setText(this.readout, this.summary());
      return;
    }
    const start = Math.max(left, this.x(chosen[0]));
    const end = Math.min(this.drawn.width - right, this.x(chosen[1]));
    this.selection.setAttribute("x", start);
    this.selection.setAttribute("width", Math.max(1, end - start));
    setText(this.readout, this.description(chosen));
  }

  summary() {
    const { data } = this;
    if (!data) return "";
    const late = data.reports > 0 ? ` · ${grouped(data.late)} late (${number((100 * data.late) / data.reports, 1)} %)`
      : "";
    const suspect = data.suspect > 0 ? ` · ${grouped(data.suspect)} with a suspect clock` : "";
    return `${grouped(data.reports)} reports${late}${suspect}`;
  }

  description([from, to]) {
    const inside = [...this.data.intervals.values()].filter((interval) => interval.at >= from && interval.at < to);
    const relays = this.data.relays.map((relay) => ({
      id: relay.id,
      reports: sum([...relay.intervals].filter(([at]) => at >= from && at < to).map(([, row]) => row), "reports"),
    })).filter((relay) => relay.reports > 0).slice(0, 4);
    const gap = this.gaps.find((found) => found.from < to && found.to > from);
    const parts = [
      `${timeText(from)} – ${timeText(to, from)} UTC`, `${grouped(sum(inside, "reports"))} reports`,
      `${grouped(sum(inside, "late"))} late`, ...relays.map((relay) => `${relay.id} ${grouped(relay.reports)}`),
    ];
    if (gap) parts.push(`not whole: ${gap.text}`);
    return parts.join(" · ");
  }
}

/** The pattern that gaps are hatched with. */
function hatching() {
  return drawing("defs", {}, drawing(
    "pattern", { id: "gap-hatching", width: 6, height: 6, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" },
    drawing("rect", { class: "hatch-ground", width: 6, height: 6 }),
      drawing("rect", { class: "hatch-line", width: 2, height: 6 })));
}

function box(x, y, width, height) {
  if (!(height > 0)) return "";
  const [left, above, wide, tall] = [x, y, width, height].map((value) => value.toFixed(1));
  return `M${left} ${above}h${wide}v${tall}h-${wide}z`;
}

function sum(rows, name) {
  let total = 0;
  for (const row of rows) total += row[name];
  return total;
}

function shortened(text) {
  return text.length > 15 ? `${text.slice(0, 14)}…` : text;
}
