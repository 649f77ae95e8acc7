// @ts-check
// The card in an empty channel: its button creates a task and fills in the first command.

import { byId, h } from "./dom.js";
import { icon } from "./icons.js";

const ABOUT =
  "veo-courier waits for your Veo videos and posts them in the channel. Everything here runs on your machine: " +
  "the bot is real, Discord and the video API are stand-ins.";

/**
 * @param {import("./store.js").Store} store
 * @param {import("./composer/composer.js").Composer} composer
 * @param {() => Promise<string | null>} createTask
 */
export function welcome(store, composer, createTask) {
  const place = byId("welcome-place");
  const create = h("button", { class: "button primary", type: "button" }, icon("plus"), "Create a task");
  const card = h(
    "section",
    { class: "welcome", "aria-labelledby": "welcome-title" },
    h("h2", { id: "welcome-title" }, "A video is a task away"),
    h("p", {}, ABOUT),
    h(
      "ol",
      { class: "steps" },
      h("li", {}, create),
      h("li", {}, "Press ", h("kbd", {}, "Enter"), " to send ", h("code", { class: "code" }, "/veo track")),
      h("li", {}, "Watch the card, then play the video"),
    ),
  );
  create.addEventListener("click", async () => {
    const id = await createTask();
    if (id) composer.set(`/veo track id:${id}`);
  });
  const show = () => {
    const isEmpty = store.channelId !== "" && store.isEmpty(store.channelId);
    if (isEmpty && !card.isConnected) {
      card.classList.remove("leaving");
      place.append(card);
    } else if (!isEmpty && card.isConnected) {
      leave(card);
    }
  };
  store.on("channel message", show);
  store.on("removed", show);
}

/** @param {HTMLElement} card */
function leave(card) {
  card.classList.add("leaving");
  const motion = card.getAnimations()[0];
  if (motion) motion.finished.then(() => card.classList.contains("leaving") && card.remove(), () => undefined);
  else card.remove();
}
