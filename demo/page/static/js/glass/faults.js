// @ts-check
// Faults to switch on for the next requests, and those that are still to come.

import { h, refill } from "../dom.js";
import { button, select } from "./controls.js";

/** @param {import("../store.js").Store} store @param {import("./controls.js").Wish} wish */
export function faultSection(store, wish) {
  const body = h("div", { class: "section-body" });
  const armed = h("ul", { class: "armed", "aria-label": "Faults still to come" });
  store.on("faults", () => {
    if (!body.hasChildNodes()) body.append(...controls(store.faults, wish), armed);
    refill(armed, store.faults.armed.map((/** @type {any} */ each) => h("li", {}, `${each.label}: ${each.left} to come`)));
  });
  return body;
}

/** @param {any} faults @param {import("./controls.js").Wish} wish */
function controls(faults, wish) {
  const kind = select("What goes wrong", Object.entries(faults.kinds));
  const target = select("Where", Object.entries(faults.targets));
  const times = select("How often", [1, 2, 3, 5, 10].map((each) => [String(each), `${each} ×`]));
  const arm = () => wish("fault", { target: target.value, kind: kind.value, times: Number(times.value) });
  const clear = button("Clear", () => wish("clear faults"));
  return [h("div", { class: "controls" }, kind, target, times, button("Switch on", arm, "danger"), clear)];
}
