// @ts-check
// The bot's requests and what led to them, newest first. Repeats are one entry with a count.

import { h } from "../dom.js";
import { clock } from "../time.js";
import { select } from "./controls.js";

const MAX_ENTRIES = 300;
/** @type {[string, string][]} */
const SIDES = [
  ["", "everything"],
  ["api", "to the video API"],
  ["discord", "to Discord"],
];
/** @type {Record<string, string>} */
const NAMES = { api: "Video API", discord: "Discord", person: "Person", bot: "Process" };

/** @param {import("../store.js").Store} store */
export function timelineSection(store) {
  const list = h("ol", { class: "timeline", "aria-label": "Requests, newest first" });
  const filter = select("Which requests", SIDES, (side) => (list.dataset.only = side));
  /** @type {Map<number, HTMLElement>} */
  const rows = new Map();
  store.on("timeline", (entries) => {
    if (!entries) {
      rows.clear();
      list.replaceChildren();
    }
    for (const entry of entries ?? store.timeline.values()) draw(entry, rows, list);
    while (list.children.length > MAX_ENTRIES) {
      const last = /** @type {HTMLElement} */ (list.lastElementChild);
      rows.delete(Number(last.dataset.id));
      last.remove();
    }
  });
  return h("div", { class: "section-body" }, h("div", { class: "controls" }, h("label", { class: "inline-label" }, "Show", filter)), list);
}

/** @param {any} entry @param {Map<number, HTMLElement>} rows @param {HTMLElement} list */
function draw(entry, rows, list) {
  const row = h(
    "li",
    { class: `entry from-${entry.side}`, "data-id": entry.id },
    h("time", { class: "entry-at", datetime: new Date(entry.at).toISOString() }, clock(entry.at, "T")),
    h("span", { class: "entry-what" }, entry.what),
    h("span", { class: "entry-more" }, h("span", { class: "entry-side" }, NAMES[entry.side]), outcome(entry), repeats(entry)),
  );
  const old = rows.get(entry.id);
  if (old) old.replaceWith(row);
  else list.prepend(row);
  rows.set(entry.id, row);
}

/** @param {any} entry */
function repeats(entry) {
  if (entry.count > 1) {
    const pause = entry.gap === null ? "" : `, every ${entry.gap.toFixed(1)} s`;
    return h("span", { class: "entry-count" }, h("b", {}, `${entry.count} times`), pause);
  }
  return entry.gap !== null && h("span", { class: "entry-count" }, `${entry.gap.toFixed(1)} s after the last`);
}

/** @param {any} entry */
function outcome(entry) {
  if (entry.pending) return h("span", { class: "outcome" }, "no answer yet");
  if (entry.status === null) return null;
  const good = entry.status < 400;
  return h("span", { class: good ? "outcome good" : "outcome bad" }, entry.result ? `${entry.status} ${entry.result}` : entry.status);
}
