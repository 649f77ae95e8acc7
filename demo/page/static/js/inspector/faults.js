// @ts-check
// Faults to add for the next requests, and those that are left.

import { h, refill } from "../dom.js";
import { button, select } from "./controls.js";

/** @param {import("../store.js").Store} store @param {import("./controls.js").Perform} perform */
export function faultSection(store, perform) {
  const body = h("div", { class: "section-body" });
  const armed = h("ul", { class: "armed", "aria-label": "Faults still to come" });
  store.on("faults", () => {
    if (!body.hasChildNodes()) body.append(...controls(store.faults, perform), armed);
    refill(armed, store.faults.armed.map((/** @type {any} */ each) => h("li", {}, `${each.label}: ${each.left} to come`)));
  });
  return body;
}

/** @param {any} faults @param {import("./controls.js").Perform} perform */
function controls(faults, perform) {
  const kind = select("What goes wrong", Object.entries(faults.kinds));
  const target = select("Where", Object.entries(faults.targets));
  const times = select("How often", [1, 2, 3, 5, 10].map((each) => [String(each), each === 1 ? "once" : `${each} times`]));
  const arm = () => perform("fault", { target: target.value, kind: kind.value, times: Number(times.value) });
  const clear = button("Clear", () => perform("clear faults"));
  return [h("div", { class: "controls" }, kind, target, times, button("Make it go wrong", arm, "danger"), clear)];
}
