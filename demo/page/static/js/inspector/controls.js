// @ts-check
// The small controls of the sections.

import { h } from "../dom.js";

/** @typedef {(action: string, details?: Record<string, unknown>) => Promise<any>} Perform */

/** @param {string} label @param {() => unknown} run @param {string} [kind] */
export function button(label, run, kind = "") {
  return h("button", { class: `small-button ${kind}`, type: "button", onclick: run }, label);
}

/** @param {string} label @param {[string, string][]} choices value and words @param {(value: string) => unknown} [chosen] */
export function select(label, choices, chosen) {
  const element = /** @type {HTMLSelectElement} */ (
    h("select", { class: "small-select", "aria-label": label }, choices.map(([value, words]) => h("option", { value }, words)))
  );
  if (chosen) element.addEventListener("change", () => chosen(element.value));
  return element;
}

/** A select that shows its label and performs the chosen entry at once.
 * @param {string} label @param {string} what @param {string[]} choices @param {(value: string) => unknown} chosen
 */
export function actionSelect(label, what, choices, chosen) {
  const element = select(`${label} ${what}`, [["", label], ...choices.map((each) => /** @type {[string, string]} */ ([each, each]))]);
  element.addEventListener("change", () => {
    const value = element.value;
    element.value = "";
    if (value) chosen(value);
  });
  return element;
}
