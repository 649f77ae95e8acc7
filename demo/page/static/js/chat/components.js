// @ts-check
// Builds a message's components: rows of buttons, and the parts of a message that consists of components.

import { h } from "../dom.js";
import { icon } from "../icons.js";
import { markup } from "../markup/blocks.js";
import { media } from "./files.js";

/** @typedef {import("../markup/inline.js").Surroundings} Surroundings */

/**
 * What components refer to. `press` gets a button's custom id; `files` are the message's attachments.
 * @typedef {{around: Surroundings, press: (customId: string) => Promise<void>, files: any[]}} Context
 */

const STYLES = ["", "primary", "secondary", "success", "danger", "outward"];
const PREMIUM = 6;

/**
 * How each type of component is built, by Discord's number. An unknown type shows what is inside it.
 * @type {Record<number, (part: any, context: Context) => Node | null>}
 */
const BUILD = {
  1: (part, context) => h("div", { class: "buttons" }, components(part.components, context)),
  2: button,
  9: section,
  10: (part, context) => h("div", { class: "text" }, markup(part.content, context.around)),
  11: (part, context) => h("div", { class: "thumbnail" }, media(part.media, part.description, context.files)),
  12: gallery,
  13: (part, context) => media(part.file, part.description, context.files),
  14: separator,
  17: container,
};

/** @param {any[] | undefined} parts @param {Context} context @returns {Node[]} */
export function components(parts, context) {
  return (parts ?? []).flatMap((part) => {
    const build = BUILD[part.type];
    return build ? build(part, context) ?? [] : components(part.components, context);
  });
}

/** @param {any} part @param {Context} context */
function container(part, context) {
  const box = h("div", { class: part.spoiler ? "container is-spoiler" : "container" }, components(part.components, context));
  if (typeof part.accent_color === "number") {
    box.classList.add("has-accent");
    box.style.borderInlineStartColor = `#${part.accent_color.toString(16).padStart(6, "0")}`;
  }
  return box;
}

/** @param {any} part @param {Context} context */
function section(part, context) {
  const texts = h("div", { class: "section-texts" }, components(part.components, context));
  return h("div", { class: "with-accessory" }, texts, components(part.accessory ? [part.accessory] : [], context));
}

/** @param {any} part @param {Context} context */
function gallery(part, context) {
  const items = (part.items ?? []).map((/** @type {any} */ item) => media(item.media, item.description, context.files));
  return h("div", { class: "gallery" }, items);
}

/** @param {any} part */
function separator(part) {
  const wide = part.spacing === 2 ? " is-wide" : "";
  return h("div", { class: `separator${wide}${part.divider === false ? "" : " has-line"}`, "aria-hidden": "true" });
}

/** @param {any} part @param {Context} context */
function button(part, context) {
  if (part.style === PREMIUM) return null;
  const emoji = part.emoji?.name && h("span", { class: "emoji", "aria-hidden": "true" }, part.emoji.name);
  const name = part.label ? {} : { "aria-label": part.emoji?.name ?? "Button" };
  const style = `button ${STYLES[part.style] ?? "secondary"}`;
  if (part.url && !part.disabled) {
    const safe = /^https?:\/\//.test(part.url) ? part.url : undefined;
    return h("a", { class: style, href: safe, target: "_blank", rel: "noopener noreferrer", ...name }, emoji, part.label, icon("external"));
  }
  const outward = part.url && icon("external");
  const element = h("button", { class: style, type: "button", disabled: part.disabled, "data-custom-id": part.custom_id, ...name }, emoji, part.label, outward);
  element.addEventListener("click", async () => {
    // A second press is ignored until the first is answered, because the two would race.
    if (element.getAttribute("aria-busy")) return;
    element.setAttribute("aria-busy", "true");
    await context.press(part.custom_id);
    element.removeAttribute("aria-busy");
  });
  return element;
}
