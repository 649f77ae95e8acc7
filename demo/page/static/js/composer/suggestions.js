// @ts-check
// The list above the message box: commands, options, and what the bot offers for one of them.

import { h } from "../dom.js";
import { icon } from "../icons.js";

/**
 * `ready`: can be sent once its title is typed, because no option is required.
 * @typedef {{title: string, detail: string, mark?: string, ready?: boolean,
 *   kind: "command" | "option" | "choice", insert: () => void}} Suggestion
 */

export class Suggestions {
  /** @param {HTMLElement} field the text field whose list this is */
  constructor(field) {
    this._field = field;
    this._active = -1;
    /** @type {Suggestion[]} */
    this._shown = [];
    this._head = h("div", { class: "suggest-head" });
    this._list = h("div", { class: "suggest-list", role: "listbox", id: "suggestions", "aria-label": "Suggestions" });
    this.element = h("div", { class: "suggest", hidden: true }, this._head, this._list);
    // A click on the list must not take the focus from the field.
    this.element.addEventListener("mousedown", (event) => event.preventDefault());
  }

  get open() {
    return !this.element.hidden;
  }

  get active() {
    return this._shown[this._active];
  }

  /** Show these suggestions. `eager`: Enter takes the first one; otherwise only Tab or a click takes one.
   * @param {string} head @param {Suggestion[]} suggestions @param {boolean} eager
   */
  show(head, suggestions, eager) {
    const kept = this.active?.title;
    this._shown = suggestions;
    this._head.textContent = head;
    this._list.replaceChildren(...suggestions.map((each, index) => this._row(each, index)));
    this.element.hidden = suggestions.length === 0 && !head;
    const same = suggestions.findIndex((each) => each.title === kept);
    this._activate(eager && suggestions.length > 0 ? Math.max(same, 0) : -1);
  }

  close() {
    this.show("", [], false);
  }

  /** @param {number} step */
  move(step) {
    const count = this._shown.length;
    if (count > 0) this._activate(this._active < 0 ? (step > 0 ? 0 : count - 1) : (this._active + step + count) % count);
  }

  /** @param {number} index */
  _activate(index) {
    this._active = index;
    [...this._list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === index)));
    const row = this._list.children[index];
    if (row) {
      this._field.setAttribute("aria-activedescendant", row.id);
      row.scrollIntoView({ block: "nearest" });
    } else {
      this._field.removeAttribute("aria-activedescendant");
    }
  }

  /** @param {Suggestion} suggestion @param {number} index */
  _row(suggestion, index) {
    const row = h(
      "div",
      { class: `suggestion is-${suggestion.kind}`, role: "option", id: `suggestion-${index}`, "aria-selected": "false" },
      suggestion.kind === "command" && icon("command"),
      h("span", { class: "suggestion-title" }, suggestion.title),
      suggestion.mark && h("span", { class: `mark ${suggestion.mark}` }, suggestion.mark),
      h("span", { class: "suggestion-detail" }, suggestion.detail),
    );
    row.addEventListener("click", () => suggestion.insert());
    row.addEventListener("mousemove", () => this._active !== index && this._activate(index));
    return row;
  }
}
