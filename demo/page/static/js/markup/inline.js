// @ts-check
// Parses Discord's inline markup: known markup becomes elements, everything else stays text.

import { h } from "../dom.js";
import { timeElement } from "../time.js";

/**
 * What markup refers to. `jump` opens a linked message; `everyone`: whether @everyone pinged.
 * @typedef {{userName: (id: string) => string | undefined, channelName: (id: string) => string | undefined,
 *   me: string, everyone: boolean, jump: (channelId: string, messageId: string | null) => void}} Surroundings
 */

const JUMP = /^https:\/\/(?:\w+\.)?discord\.com\/channels\/\d+\/(\d+)(?:\/(\d+))?$/;
// How deep styles may be nested; deeper markup stays text.
const MAX_DEPTH = 8;

/**
 * Each rule: a pattern, and the function that builds its node (null: no match after all).
 * @type {[RegExp, (match: RegExpExecArray, around: Surroundings, depth: number) => Node | null][]}
 */
const RULES = [
  [/\\([^A-Za-z0-9\s])/y, ([, sign]) => document.createTextNode(sign)],
  [/(`+)([^`](?:[\s\S]*?[^`])??)\1(?!`)/y, ([, , code]) => h("code", { class: "code" }, code.trim() || code)],
  [/<t:(-?\d{1,13})(?::([tTdDfFRsS]))?>/y, ([, seconds, style]) => timeElement(Number(seconds), style ?? "f")],
  [/<@!?(\d{1,20})>/y, ([, id], around) => person(id, around)],
  [/<#(\d{1,20})>/y, ([, id], around) => channel(id, around)],
  [/<@&(\d{1,20})>/y, () => pill("@role")],
  [/<\/([-\w ]{1,100}):\d{1,20}>/y, ([, name]) => pill(`/${name}`)],
  [/<a?:(\w{2,32}):\d{1,20}>/y, ([, name]) => document.createTextNode(`:${name}:`)],
  [/<(https?:\/\/[^\s<>]+)>/y, ([, url], around) => link(url, [url], around)],
  [
    /\[((?:\\.|[^[\]\\])+)\]\(<?(https?:\/\/[^\s<>()]+)>?\)/y,
    ([, text, url], around, depth) => link(url, inline(text, around, depth + 1), around),
  ],
  [/https?:\/\/[^\s<]*[^\s<.,:;"'\])|*_~`]/y, ([url], around) => link(url, [url], around)],
  [/\*\*((?:\\[\s\S]|[^\\])+?)\*\*(?!\*)/y, styled("strong")],
  [/__((?:\\[\s\S]|[^\\])+?)__(?!_)/y, styled("u")],
  [/\*(?=\S)((?:\\[\s\S]|\*\*|[^\\*])+?)(?<!\s)\*(?!\*)/y, styled("em")],
  [/(?<![A-Za-z0-9])_(?=\S)((?:\\[\s\S]|__|[^\\_])+?)_(?![A-Za-z0-9])/y, styled("em")],
  [/~~((?:\\[\s\S]|[^\\])+?)~~/y, styled("s")],
  [/\|\|([\s\S]+?)\|\|/y, ([, text], around, depth) => spoiler(inline(text, around, depth + 1))],
  [/@(everyone|here)\b/y, ([text], around) => (around.everyone ? pill(text, true) : null)],
];
const PLAIN = /[^\\`*_~|<[@h]+|[\s\S]/y;

/**
 * @param {string} text
 * @param {Surroundings} around
 * @param {number} [depth]
 * @returns {Node[]}
 */
export function inline(text, around, depth = 0) {
  if (depth > MAX_DEPTH) return [document.createTextNode(text)];
  /** @type {Node[]} */
  const nodes = [];
  let plain = "";
  let at = 0;
  while (at < text.length) {
    const [node, length] = special(text, at, around, depth);
    if (node === null) {
      PLAIN.lastIndex = at;
      const taken = /** @type {RegExpExecArray} */ (PLAIN.exec(text))[0];
      plain += taken;
      at += taken.length;
      continue;
    }
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
    nodes.push(node);
    at += length;
  }
  if (plain) nodes.push(document.createTextNode(plain));
  return nodes;
}

/**
 * @param {string} text @param {number} at @param {Surroundings} around @param {number} depth
 * @returns {[Node | null, number]}
 */
function special(text, at, around, depth) {
  for (const [pattern, make] of RULES) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    const node = match && make(match, around, depth);
    if (match && node) return [node, match[0].length];
  }
  return [null, 0];
}

/** @param {string} tag @returns {(match: RegExpExecArray, around: Surroundings, depth: number) => Node} */
function styled(tag) {
  return ([, text], around, depth) => h(tag, {}, inline(text, around, depth + 1));
}

/** @param {string} text @param {boolean} [isMe] */
function pill(text, isMe = false) {
  return h("span", { class: isMe ? "pill pill-me" : "pill" }, text);
}

/** @param {string} id @param {Surroundings} around */
function person(id, around) {
  return pill(`@${around.userName(id) ?? "unknown-user"}`, id === around.me);
}

/** @param {string} id @param {Surroundings} around */
function channel(id, around) {
  const name = around.channelName(id);
  if (name === undefined) return pill("# unknown");
  return h("button", { class: "pill", type: "button", onclick: () => around.jump(id, null) }, `# ${name}`);
}

/** A link. Links to messages open here, others in a new tab.
 * @param {string} url @param {(Node | string)[]} inside @param {Surroundings} around
 */
function link(url, inside, around) {
  const jump = JUMP.exec(url);
  if (jump) {
    const name = around.channelName(jump[1]) ?? "unknown";
    const go = () => around.jump(jump[1], jump[2] ?? null);
    const text = jump[2] && name !== "unknown" ? `# ${name} › message` : `# ${name}`;
    // A link with its own text looks like every other link.
    if (inside[0] !== url) return h("button", { class: "as-link", type: "button", onclick: go }, inside);
    return h("button", { class: "pill", type: "button", onclick: go }, text);
  }
  return h("a", { class: "link", href: url, target: "_blank", rel: "noopener noreferrer nofollow" }, inside);
}

/** @param {Node[]} inside */
function spoiler(inside) {
  const box = h("span", { class: "spoiler", role: "button", tabindex: "0", "aria-label": "Spoiler, press to show" });
  const content = h("span", { "aria-hidden": "true" }, inside);
  const reveal = () => {
    box.classList.add("shown");
    for (const name of ["role", "tabindex", "aria-label"]) box.removeAttribute(name);
    content.removeAttribute("aria-hidden");
  };
  box.addEventListener("click", reveal);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") reveal();
  });
  box.append(content);
  return box;
}
