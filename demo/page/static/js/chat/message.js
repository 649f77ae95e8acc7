// @ts-check
// One message as an element of the list.

import { h } from "../dom.js";
import { face, icon } from "../icons.js";
import { markup } from "../markup/blocks.js";
import { clock } from "../time.js";
import { attachment, embedded, parts } from "./parts.js";

/** @typedef {import("../store.js").Message} Message */
/** @typedef {import("../store.js").Store} Store */

const EPHEMERAL = 1 << 6;
const LOADING = 1 << 7;
const GROUPED_WITHIN = 7 * 60 * 1000;

/**
 * What a message can do.
 * @typedef {{press: (message: Message, button: string) => Promise<void>, menu: (message: Message, at: Element) => void,
 *   jump: (channelId: string, messageId: string | null) => void}} Deeds
 */

/** Whether a message stands under its predecessor's name.
 * @param {Message} message @param {Message | undefined} before
 */
export function isGrouped(message, before) {
  if (!before || message.interaction_metadata || message.message_reference) return false;
  const close = Date.parse(message.timestamp) - Date.parse(before.timestamp) < GROUPED_WITHIN;
  return close && before.author.id === message.author.id && before.onlyFor === message.onlyFor;
}

/** @param {Message} message @param {boolean} grouped @param {Store} store @param {Deeds} deeds */
export function messageElement(message, grouped, store, deeds) {
  const around = surroundings(message, store, deeds);
  const classes = ["message", grouped && "grouped", isFor(message, store.me) && "pinged"];
  const element = h(
    "li",
    { class: classes.filter(Boolean).join(" "), id: `m-${message.id}`, "data-id": message.id, tabindex: "-1" },
    origin(message, store, deeds),
    h(
      "div",
      { class: "row" },
      grouped ? smallTime(message) : face(message.author.username, message.author.bot),
      h("div", { class: "body" }, !grouped && head(message), ...content(message, around, deeds), ephemeral(message, store)),
    ),
    tools(message, deeds),
  );
  return element;
}

/** @param {Message} message @param {Store} store @param {Deeds} deeds */
function surroundings(message, store, deeds) {
  return {
    userName: (/** @type {string} */ id) => store.user(id)?.name,
    channelName: (/** @type {string} */ id) => store.findChannel(id)?.name,
    me: store.me,
    everyone: Boolean(message.mention_everyone),
    jump: deeds.jump,
  };
}

/** @param {Message} message @param {string} me */
export function isFor(message, me) {
  return message.pings.includes(me);
}

/** @param {Message} message */
function head(message) {
  const at = Date.parse(message.timestamp);
  return h(
    "h3",
    { class: "head" },
    h("span", { class: message.author.bot ? "author is-bot" : "author" }, message.author.username),
    message.author.bot && h("span", { class: "tag" }, "APP"),
    h("time", { class: "when", datetime: message.timestamp, title: clock(at, "F") }, clock(at, "t")),
  );
}

/** @param {Message} message */
function smallTime(message) {
  const at = Date.parse(message.timestamp);
  return h("time", { class: "small-time", datetime: message.timestamp, title: clock(at, "F") }, clock(at, "t"));
}

/** @param {Message} message @param {any} around @param {Deeds} deeds @returns {(Node | false)[]} */
function content(message, around, deeds) {
  if (message.flags & LOADING) {
    return [h("div", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }), "is thinking…")];
  }
  const text = h("div", { class: "text" }, markup(message.content, around));
  if (message.edited_timestamp) {
    const title = clock(Date.parse(message.edited_timestamp), "F");
    // Behind the last line, unless that is a block of code.
    const last = text.lastElementChild;
    (last && last.tagName !== "PRE" ? last : text).append(h("span", { class: "edited", title }, " (edited)"));
  }
  return [
    text,
    ...message.attachments.map(attachment),
    ...message.embeds.map((/** @type {any} */ embed) => embedded(embed, around)),
    ...parts(message.components, around, (button) => deeds.press(message, button)),
    h("div", { class: "failure", role: "alert" }),
  ];
}

/** "alice used /veo track", or the message that is replied to.
 * @param {Message} message @param {Store} store @param {Deeds} deeds
 */
function origin(message, store, deeds) {
  const by = message.interaction_metadata;
  if (message.referenced_message || message.message_reference) return reference(message, deeds);
  if (!by || !message.command || by.original_response_message_id) return pressedOrigin(message, deeds);
  return h(
    "div",
    { class: "origin" },
    face(by.user.username, false),
    h("span", { class: "origin-name" }, store.user(by.user.id)?.name),
    " used ",
    h("span", { class: "pill" }, message.type === 23 ? message.command : `/${message.command}`),
  );
}

/** @param {Message} message @param {Deeds} deeds */
function reference(message, deeds) {
  const earlier = message.referenced_message;
  if (!earlier) return h("div", { class: "origin" }, h("i", {}, "The original message was deleted"));
  return jumpLine(message, earlier.id, `${earlier.author.username}: ${oneLine(earlier.content)}`, deeds);
}

/** @param {Message} message @param {Deeds} deeds */
function pressedOrigin(message, deeds) {
  const pressed = message.interaction_metadata?.interacted_message_id;
  if (!pressed) return null;
  return jumpLine(message, pressed, "A button of a message", deeds);
}

/** @param {Message} message @param {string} target @param {string} text @param {Deeds} deeds */
function jumpLine(message, target, text, deeds) {
  const go = () => deeds.jump(message.channel_id, target);
  return h("div", { class: "origin" }, h("button", { class: "origin-text", type: "button", onclick: go }, text));
}

/** @param {string} text */
function oneLine(text) {
  const flat = text.replace(/\s+/g, " ").replace(/<t:\d+(:\w)?>/g, "…");
  return flat.length > 90 ? `${flat.slice(0, 90)}…` : flat;
}

/** @param {Message} message @param {Store} store */
function ephemeral(message, store) {
  if (!(message.flags & EPHEMERAL)) return false;
  return h(
    "div",
    { class: "only-you" },
    icon("eye"),
    "Only you can see this • ",
    h("button", { class: "as-link", type: "button", onclick: () => store.dismiss(message) }, "Dismiss message"),
  );
}

/** @param {Message} message @param {Deeds} deeds */
function tools(message, deeds) {
  const names = { "aria-label": "More", title: "More", "aria-haspopup": "menu" };
  const open = h("button", { class: "icon-button", type: "button", tabindex: "-1", ...names }, icon("more"));
  open.addEventListener("click", () => deeds.menu(message, open));
  return h("div", { class: "tools" }, open);
}
