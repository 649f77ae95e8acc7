// @ts-check
// The small controls of the sections.

import { h } from "../dom.js";

/** @typedef {(action: string, details?: Record<string, unknown>) => Promise<any>} Perform */
/** @typedef {[string, string]} Choice a value and its words */

/** @param {string} label @param {() => unknown} run @param {string} [kind] */
export function button(label, run, kind = "") {
  return h("button", { class: `small-button ${kind}`, type: "button", onclick: run }, label);
}

/** @param {string} label @param {Choice[]} choices @param {(value: string) => unknown} [chosen] */
export function select(label, choices, chosen) {
  const element = /** @type {HTMLSelectElement} */ (h("select", { class: "small-select", "aria-label": label }, choices.map(option)));
  if (chosen) element.addEventListener("change", () => chosen(element.value));
  return element;
}

/** A select that shows its label and performs the chosen entry at once.
 * @param {string} label @param {(Choice | {label: string, choices: Choice[]})[]} choices some of them in groups
 * @param {(value: string) => unknown} chosen @param {string} [about] what the choices are about, for screen readers
 */
export function actionSelect(label, choices, chosen, about = "") {
  const entries = choices.map((each) =>
    Array.isArray(each) ? option(each) : h("optgroup", { label: each.label }, each.choices.map(option)),
  );
  const element = /** @type {HTMLSelectElement} */ (
    h("select", { class: "small-select action", "aria-label": about ? `${label} ${about}` : label }, option(["", `${label} …`]), entries)
  );
  element.addEventListener("change", () => {
    const value = element.value;
    element.value = "";
    if (value) chosen(value);
  });
  return element;
}

/** @param {Choice} choice */
function option([value, words]) {
  return h("option", { value }, words);
}
