// @ts-check
// Builds a message's attachments, embeds and components.

import { h } from "../dom.js";
import { icon } from "../icons.js";
import { markup } from "../markup/blocks.js";

/** @typedef {import("../markup/inline.js").Surroundings} Surroundings */

const ACTION_ROW = 1;
const BUTTON = 2;
const TEXT = 10;
const STYLES = ["", "primary", "secondary", "success", "danger", "outward"];

/** @param {number} bytes */
function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(0)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** @param {any} file */
export function attachment(file) {
  const isVideo = String(file.content_type).startsWith("video/");
  const label = h(
    "span",
    { class: "file-name" },
    icon("film"),
    h("span", { class: "file-title" }, file.filename),
    h("span", { class: "file-size" }, size(file.size)),
  );
  const link = h(
    "a",
    { class: "download", href: file.url, download: file.filename, "aria-label": `Download ${file.filename}` },
    icon("download"),
  );
  const player = h("video", {
    controls: true,
    playsinline: true,
    preload: "metadata",
    src: file.url,
    "aria-label": file.filename,
  });
  return h("div", { class: isVideo ? "file has-video" : "file" }, isVideo && player, h("div", { class: "file-foot" }, label, link));
}

/** @param {any} embed @param {Surroundings} around */
export function embedded(embed, around) {
  const fields = (embed.fields ?? []).map((/** @type {any} */ field) =>
    h("div", { class: field.inline ? "field inline" : "field" }, h("b", {}, field.name), markup(field.value, around)),
  );
  const box = h(
    "div",
    { class: "embed" },
    embed.title && h("b", { class: "embed-title" }, embed.title),
    embed.description && h("div", {}, markup(embed.description, around)),
    fields,
    embed.footer && h("small", { class: "subtext" }, embed.footer.text),
  );
  if (embed.color) box.style.borderInlineStartColor = `#${embed.color.toString(16).padStart(6, "0")}`;
  return box;
}

/**
 * Rows of buttons, and texts among the components.
 * @param {any[]} components
 * @param {Surroundings} around
 * @param {(customId: string) => Promise<void>} press
 * @returns {Node[]}
 */
export function parts(components, around, press) {
  return components.map((part) => {
    if (part.type === TEXT) return h("div", {}, markup(part.content, around));
    if (part.type === BUTTON) return button(part, press);
    const inside = parts(part.components ?? [], around, press);
    return h("div", { class: part.type === ACTION_ROW ? "buttons" : "container" }, inside);
  });
}

/** @param {any} part @param {(customId: string) => Promise<void>} press */
function button(part, press) {
  const emoji = part.emoji?.name && h("span", { "aria-hidden": "true" }, part.emoji.name);
  const style = `button ${STYLES[part.style] ?? "secondary"}`;
  if (part.url) {
    const safe = /^https?:\/\//.test(part.url) ? part.url : undefined;
    return h("a", { class: style, href: safe, target: "_blank", rel: "noopener noreferrer" }, emoji, part.label, icon("external"));
  }
  const element = h("button", { class: style, type: "button", disabled: part.disabled }, emoji, part.label);
  element.addEventListener("click", async () => {
    // A second press is ignored until the first is answered, because the two would race.
    if (element.getAttribute("aria-busy")) return;
    element.setAttribute("aria-busy", "true");
    await press(part.custom_id);
    element.removeAttribute("aria-busy");
  });
  return element;
}
