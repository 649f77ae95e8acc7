// @ts-check
// Builds the list element of one message.

import { h } from "../dom.js";
import { face, icon } from "../icons.js";
import { preview } from "../markup/preview.js";
import { markup } from "../markup/blocks.js";
import { clock } from "../time.js";
import { components } from "./components.js";
import { attachment, embedded } from "./files.js";

/** @typedef {import("../store.js").Message} Message */
/** @typedef {import("../store.js").Store} Store */

const EPHEMERAL = 1 << 6;
const LOADING = 1 << 7;
const CONSISTS_OF_COMPONENTS = 1 << 15;
const GROUPED_WITHIN = 7 * 60 * 1000;

/**
 * The actions of a message.
 * @typedef {{press: (message: Message, button: string) => Promise<void>, menu: (message: Message, at: Element) => void,
 *   jump: (channelId: string, messageId: string | null) => void}} MessageActions
 */

/** Whether a message is shown without its own head, below the one before.
 * @param {Message} message @param {Message | undefined} before
 */
export function isGrouped(message, before) {
  if (!before || message.interaction_metadata || message.message_reference) return false;
  const close = Date.parse(message.timestamp) - Date.parse(before.timestamp) < GROUPED_WITHIN;
  return close && before.author.id === message.author.id && before.onlyFor === message.onlyFor;
}

/** @param {Message} message @param {boolean} grouped @param {Store} store @param {MessageActions} actions */
export function messageElement(message, grouped, store, actions) {
  const around = surroundings(message, store, actions);
  const classes = ["message", grouped && "grouped", isFor(message, store.me) && "pinged"];
  const element = h(
    "li",
    { class: classes.filter(Boolean).join(" "), id: `m-${message.id}`, "data-id": message.id, tabindex: "-1" },
    origin(message, store, actions),
    h(
      "div",
      { class: "row" },
      grouped ? smallTime(message) : face(message.author.username, message.author.bot),
      h("div", { class: "body" }, !grouped && head(message), ...content(message, around, actions), ephemeral(message, store)),
    ),
    tools(message, actions),
  );
  return element;
}

/** @param {Message} message @param {Store} store @param {MessageActions} actions */
function surroundings(message, store, actions) {
  return {
    userName: (/** @type {string} */ id) => store.user(id)?.name,
    channelName: (/** @type {string} */ id) => store.findChannel(id)?.name,
    me: store.me,
    everyone: Boolean(message.mention_everyone),
    jump: actions.jump,
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
    "h2",
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

/** @param {Message} message @param {any} around @param {MessageActions} actions @returns {(Node | false | null)[]} */
function content(message, around, actions) {
  if (message.flags & LOADING) {
    return [h("div", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }), "is thinking…")];
  }
  const context = { around, files: message.attachments, press: (/** @type {string} */ id) => actions.press(message, id) };
  const parts = components(message.components, context);
  const failure = h("div", { class: "failure", role: "alert" });
  if (message.flags & CONSISTS_OF_COMPONENTS) return [h("div", { class: "layout" }, parts), edited(message), failure];
  return [
    text(message, around),
    ...message.attachments.map(attachment),
    ...message.embeds.map((/** @type {any} */ embed) => embedded(embed, around)),
    ...parts,
    failure,
  ];
}

/** @param {Message} message @param {any} around */
function text(message, around) {
  const drawn = h("div", { class: "text" }, markup(message.content, around));
  const mark = edited(message);
  // After the last line, unless that is a code block.
  const last = drawn.lastElementChild;
  if (mark) (last && last.tagName !== "PRE" ? last : drawn).append(" ", mark);
  return drawn;
}

/** @param {Message} message */
function edited(message) {
  if (!message.edited_timestamp) return null;
  return h("span", { class: "edited", title: clock(Date.parse(message.edited_timestamp), "F") }, "(edited)");
}

/** "alice used /veo track", or the message that is replied to.
 * @param {Message} message @param {Store} store @param {MessageActions} actions
 */
function origin(message, store, actions) {
  const by = message.interaction_metadata;
  if (message.referenced_message || message.message_reference) return reference(message, store, actions);
  if (!by || !message.command || by.original_response_message_id) return pressedOrigin(message, store, actions);
  return h(
    "div",
    { class: "origin" },
    face(by.user.username, false),
    h("span", { class: "origin-name" }, store.user(by.user.id)?.name),
    " used ",
    h("span", { class: "pill" }, message.type === 23 ? message.command : `/${message.command}`),
  );
}

/** @param {Message} message @param {Store} store @param {MessageActions} actions */
function reference(message, store, actions) {
  return repliedTo(message, message.referenced_message, store, actions);
}

/** An answer to a button is drawn as a reply to the message with the button.
 * @param {Message} message @param {Store} store @param {MessageActions} actions
 */
function pressedOrigin(message, store, actions) {
  const pressed = message.interaction_metadata?.interacted_message_id;
  return pressed ? repliedTo(message, store.findMessage(pressed), store, actions) : null;
}

/**
 * @param {Message} message
 * @param {any} earlier the message that it replies to, unless that was deleted
 * @param {Store} store
 * @param {MessageActions} actions
 */
function repliedTo(message, earlier, store, actions) {
  if (!earlier) return h("div", { class: "origin" }, h("i", {}, "Original message was deleted"));
  const go = () => actions.jump(message.channel_id, earlier.id);
  return h(
    "div",
    { class: "origin" },
    face(earlier.author.username, earlier.author.bot),
    h("span", { class: "origin-name" }, earlier.author.username),
    h("button", { class: "origin-text", type: "button", onclick: go }, preview(earlier, (id) => store.user(id)?.name) || "Click to see the message"),
  );
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

/** @param {Message} message @param {MessageActions} actions */
function tools(message, actions) {
  const names = { "aria-label": "More", title: "More", "aria-haspopup": "menu" };
  const open = h("button", { class: "icon-button", type: "button", tabindex: "-1", ...names }, icon("more"));
  open.addEventListener("click", () => actions.menu(message, open));
  return h("div", { class: "tools" }, open);
}
