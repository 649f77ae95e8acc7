// @ts-check
// Colours the typed command line, shown below the transparent text field.

import { h } from "../dom.js";

/**
 * @param {string} text
 * @param {import("./command_line.js").Invocation | null} invocation
 * @returns {Node[]}
 */
export function coloured(text, invocation) {
  // The last line break counts only when something follows it.
  const end = document.createTextNode("\u200b");
  if (!invocation) return [document.createTextNode(text), end];
  const head = invocation.command.line.length + 1;
  /** @type {Node[]} */
  const nodes = [h("span", { class: "typed-command" }, text.slice(0, head))];
  const given = Object.entries(invocation.given).sort(([, one], [, other]) => one.start - other.start);
  let at = head;
  for (const [name, value] of given) {
    const label = value.named ? value.start - name.length - 1 : value.start;
    nodes.push(document.createTextNode(text.slice(at, label)));
    if (value.named) nodes.push(h("span", { class: "typed-name" }, text.slice(label, value.start)));
    nodes.push(h("span", { class: "typed-value" }, text.slice(value.start, value.end)));
    at = value.end;
  }
  nodes.push(document.createTextNode(text.slice(at)), end);
  return nodes;
}
