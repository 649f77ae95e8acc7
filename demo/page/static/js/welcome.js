// @ts-check
// The card in an empty channel, and the hints that follow it: create a task, send the command, watch.

import { byId, fill, h } from "./dom.js";
import { icon } from "./icons.js";

const ABOUT =
  "veo-courier is a Discord bot. Give it the id of a Veo video that is being generated: " +
  "it waits for the video and posts it in the channel, for good.";
const REAL = "The bot here is the real one. Discord and the video API are stand-ins on this machine, so you need no account and no key.";

// The speed of the video API from which a video takes some seconds only.
const FAST = 60;

/**
 * @param {import("./store.js").Store} store
 * @param {() => Promise<string | null>} createTask
 * @param {(text: string) => void} compose puts a text into the message box
 */
export function welcome(store, createTask, compose) {
  const place = byId("welcome-place");
  const create = h("button", { class: "button primary", type: "button", "aria-describedby": "welcome-about" }, icon("plus"), "Create a task");
  const card = h(
    "section",
    { class: "welcome", "aria-labelledby": "welcome-title" },
    h("h2", { id: "welcome-title" }, "Try the bot that brings your Veo videos into the channel"),
    h("p", { id: "welcome-about" }, ABOUT),
    h("p", {}, REAL),
    h(
      "ol",
      { class: "steps" },
      step(1, create),
      step(2, "Press ", h("kbd", {}, "Enter"), " to send the command ", h("code", { class: "code" }, "/veo track")),
      step(3, "Watch the card. The video follows in about ten seconds."),
    ),
  );
  create.addEventListener("click", async () => {
    const id = await createTask();
    if (id) compose(`/veo track id:${id}`);
  });
  const show = () => {
    const isEmpty = store.channelId !== "" && store.isEmpty(store.channelId) && !store.guild?.direct;
    if (isEmpty && !card.isConnected) {
      card.classList.remove("leaving");
      place.append(card);
      // With the focus here, Enter is all that a reader with a keyboard needs.
      if (document.activeElement === document.body) create.focus({ preventScroll: true });
    } else if (!isEmpty && card.isConnected) {
      leave(card);
    }
  };
  store.on("channel message", show);
  store.on("removed", show);
}

/** @param {number} number @param {...(Node | string)} words */
function step(number, ...words) {
  return h("li", {}, h("span", { class: "number", "aria-hidden": "true" }, number), h("div", {}, words));
}

/** Says above the message box what comes next, until the first video is there. */
export class Hints {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this._place = byId("hint");
    this._step = 0;
    this._isLearned = false;
    store.on("message", ({ message, isNew }) => {
      if (this._step === 1 && isNew && message.author.bot) this._show(2, "eye", answered(store));
      else if (this._step === 2 && message.attachments.length > 0) this._end();
    });
    store.on("channel", () => this._end());
  }

  /** The command is in the message box. */
  begin() {
    if (!this._isLearned) this._show(1, "enter", "Now press Enter, or the arrow at the right, to send the command.");
  }

  /** @param {number} step @param {string} name an icon's name @param {string} text */
  _show(step, name, text) {
    this._step = step;
    this._isLearned = step > 1;
    this._place.className = "next-step";
    this._place.replaceChildren();
    fill(this._place, icon(name), h("span", {}, text));
  }

  _end() {
    this._step = 0;
    this._place.className = "";
    this._place.replaceChildren();
  }
}

/** @param {import("./store.js").Store} store */
function answered(store) {
  if (store.api.factor === 0) return "The bot has answered with a card. Complete the task in the panel “Behind the scenes”.";
  const soon = store.api.factor >= FAST ? "in about ten seconds" : "when it is ready";
  return `The bot has answered with a card. The video follows ${soon}.`;
}

/** @param {HTMLElement} card */
function leave(card) {
  card.classList.add("leaving");
  const motion = card.getAnimations()[0];
  if (motion) motion.finished.then(() => card.classList.contains("leaving") && card.remove(), () => undefined);
  else card.remove();
}
