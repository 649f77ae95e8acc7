// @ts-check
// Parses a message's text into blocks: code, quotes, headings, lists, subtext, paragraphs.

import { fill, h } from "../dom.js";
import { inline } from "./inline.js";

/** @typedef {import("./inline.js").Surroundings} Surroundings */

const FENCE = /```(?:([a-z0-9_+\-.#]+)\n)?\n*([^\n][\s\S]*?)\n*```/gi;
const ITEM = /^( *)([-*]|\d{1,9}\.) +(\S.*)$/;

/**
 * @param {string} text
 * @param {Surroundings} around
 * @returns {DocumentFragment}
 */
export function markup(text, around) {
  const drawn = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(FENCE)) {
    fill(drawn, lines(text.slice(end, match.index), around));
    fill(drawn, codeBlock(match[2], match[1]));
    end = match.index + match[0].length;
  }
  return fill(drawn, lines(text.slice(end), around));
}

/** @param {string} code @param {string | undefined} language */
function codeBlock(code, language) {
  return h("pre", { class: "code-block", tabindex: "0", "aria-label": "Code" }, h("code", { "data-language": language }, code));
}

/** @param {string} text @param {Surroundings} around @returns {Node[]} */
function lines(text, around) {
  const rest = text.replace(/^\n|\n$/g, "").split("\n");
  if (rest.length === 1 && rest[0] === "") return [];
  /** @type {Node[]} */
  const nodes = [];
  while (rest.length > 0) nodes.push(block(rest, around));
  return nodes;
}

/** Remove the lines of one block from the front of `rest`, and build it.
 * @param {string[]} rest @param {Surroundings} around @returns {Node}
 */
function block(rest, around) {
  const line = rest[0];
  if (line.startsWith(">>> ")) {
    const quoted = rest.splice(0).join("\n").slice(4);
    return h("blockquote", { class: "quote" }, lines(quoted, around));
  }
  if (/^> /.test(line)) return quote(rest, around);
  const heading = /^(#{1,3}) +(\S.*)$/.exec(line);
  if (heading) {
    rest.shift();
    const level = heading[1].length;
    // All of them are below the message's author, whose heading has level 2.
    return h("div", { class: `heading heading-${level}`, role: "heading", "aria-level": 3 }, inline(heading[2], around));
  }
  if (/^-# +\S/.test(line)) {
    rest.shift();
    return h("small", { class: "subtext" }, inline(line.replace(/^-# +/, ""), around));
  }
  return ITEM.test(line) ? list(rest, around) : paragraph(rest, around);
}

/** @param {string[]} rest @param {Surroundings} around */
function quote(rest, around) {
  const quoted = [];
  while (rest.length > 0 && /^> ?/.test(rest[0])) quoted.push(/** @type {string} */ (rest.shift()).replace(/^> ?/, ""));
  return h("blockquote", { class: "quote" }, lines(quoted.join("\n"), around));
}

/** @param {string[]} rest @param {Surroundings} around */
function list(rest, around) {
  const [, , mark] = /** @type {RegExpExecArray} */ (ITEM.exec(rest[0]));
  const ordered = /\d/.test(mark);
  const items = [];
  for (let match = ITEM.exec(rest[0]); match && /\d/.test(match[2]) === ordered; match = ITEM.exec(rest[0] ?? "")) {
    rest.shift();
    items.push(h("li", { class: match[1] ? "nested" : false }, inline(match[3], around)));
  }
  return h(ordered ? "ol" : "ul", { class: "list", start: ordered ? parseInt(mark, 10) : false }, items);
}

/** The lines up to the next block; a style may span several.
 * @param {string[]} rest @param {Surroundings} around
 */
function paragraph(rest, around) {
  const own = [rest.shift()];
  while (rest.length > 0 && !startsBlock(rest[0])) own.push(rest.shift());
  return h("div", { class: "lines" }, inline(own.join("\n"), around));
}

/** @param {string} line */
function startsBlock(line) {
  return /^(>>> |> |#{1,3} +\S|-# +\S)/.test(line) || ITEM.test(line);
}
