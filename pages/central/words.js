// Sentences that several views say.

import { grouped } from "../shared/format.js";

/** " · 3 left out: about fewer than 5 persons", or nothing. */
export function leftOut(answer, what = "") {
  if (!(answer?.suppressed_groups > 0)) return "";
  return ` · ${grouped(answer.suppressed_groups)} ${what}left out: about fewer than ${answer.smallest_group} persons`;
}

/** 2026-11-20T05:00:00.000Z → 2026-11-20T05:00:00Z */
export function addressTime(milliseconds) {
  return new Date(milliseconds).toISOString().replace(".000Z", "Z");
}
