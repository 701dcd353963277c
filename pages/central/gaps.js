// What completeness knows to be missing, as spans of time that the histogram hatches.

import { element } from "../shared/dom.js";
import { grouped, milliseconds } from "../shared/format.js";
import { postJSON } from "../shared/http.js";

/** A relay's word is not older than this while all is well. */
const quietMilliseconds = 30_000;

/** What /v1/completeness knows to be missing, as spans of time. */
export function gapsOf(completeness) {
  const now = milliseconds(completeness.now);
  return completeness.relays.flatMap((relay) => {
    const id = relay.relay_id;
    const spans = relay.gaps.map((gap) => holeSpan(relay, gap, now));
    const through = milliseconds(relay.complete_through);
    // Beyond the last word of a relay nothing is known; with holes, complete_through stands still at the first of them.
    const isListed = relay.gap_count === relay.gaps.length && spans.length > 0;
    const known = isListed ? milliseconds(relay.last_report ?? relay.last_contact) : through;
    if (relay.state !== "retired" && now - known > quietMilliseconds) {
      const waiting = relay.waiting > 0 ? `, ${grouped(relay.waiting)} reports are under way` : "";
      spans.push({ relay: id, from: known, to: now, text: `${id} is known through ${timeText(known)}${waiting}` });
    }
    return spans;
  });
}

/** So many holes are looked up in the archive. */
const mostNarrowed = 20;
const ends = new Map();

function keyOf(relay, gap) {
  return `${relay.relay_id}/${gap.epoch}/${gap.last}`;
}

/**
 * Completeness knows when a range of numbers ended, not when it began: a hole would reach to the end of what came after
 * it. The archive knows the first report after the hole. True where it told something new.
 */
export async function narrowGaps(completeness) {
  const wanted = completeness.relays.flatMap((relay) => relay.gaps.map((gap) => [relay, gap]))
    .filter(([relay, gap]) => !ends.has(keyOf(relay, gap))).slice(0, mostNarrowed);
  if (wanted.length === 0) return false;
  const parts = wanted.map(([relay, gap], index) => `SELECT ${index} AS hole, min(received_at) AS ended FROM reports `
    + `WHERE relay_id = '${relay.relay_id}' AND epoch = '${gap.epoch}' AND relay_seq > ${gap.last}`
    + (gap.received_after ? ` AND date >= '${gap.received_after.slice(0, 10)}'::DATE - 1` : ""));
  const { rows } = await postJSON("/v1/sql", { sql: parts.join("\nUNION ALL\n") }, { timeoutSeconds: 60 });
  for (const row of rows) if (row.ended) ends.set(keyOf(...wanted[row.hole]), milliseconds(row.ended));
  return rows.some((row) => row.ended);
}

function holeSpan(relay, gap, now) {
  const id = relay.relay_id;
  const before = ends.get(keyOf(relay, gap)) ?? (gap.received_before ? milliseconds(gap.received_before) : now);
  const after = gap.received_after ? milliseconds(gap.received_after) : before - 60_000;
  const count = grouped(gap.last - gap.first + 1);
  return {
    relay: id, from: Math.min(after, before), to: Math.max(after + 1000, before),
    text: `${id}: ${count} records ${gap.state === "lost" ? "lost" : "missing"}`,
  };
}

/** What hatching and colours mean, beside the chart. */
export function legend() {
  return element("span", { class: "legend" },
    element("i", { class: "swatch in-time" }), "in time", element("i", { class: "swatch late" }), "L late (> 5 min)",
    element("i", { class: "swatch gap" }), "not complete");
}

/** 2026-11-20 05:00:00, without the day where it is that of `after`. */
export function timeText(time, after = null) {
  const text = new Date(time).toISOString().replace("T", " ").slice(0, 19);
  const isSameDay = after !== null && text.slice(0, 10) === new Date(after).toISOString().slice(0, 10);
  return isSameDay ? text.slice(11) : text;
}
