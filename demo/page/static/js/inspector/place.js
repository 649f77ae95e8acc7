// @ts-check
// The bot's rights in the current channel, the server's language, and buttons to add and delete channels.

import { h, refill } from "../dom.js";
import { LANGUAGES } from "../language.js";
import { button, select } from "./controls.js";

/** @type {[string, string][]} */
const RIGHTS = [
  ["view_channel", "see the channel"],
  ["send_messages", "write messages"],
  ["attach_files", "attach files"],
];

/** @param {import("../store.js").Store} store @param {import("./controls.js").Perform} perform */
export function placeSection(store, perform) {
  const title = h("p", { class: "hint" });
  const rights = h("div", { class: "rights" });
  const remove = button("Delete this channel", () => perform("delete channel", { channel: store.channelId }), "danger");
  const add = button("Add a channel", async () => {
    const id = await perform("add channel", { guild: store.guild?.id });
    if (id) store.visit(id);
  });
  const language = select("The server's language", LANGUAGES, (locale) => perform("server language", { guild: store.guild?.id, locale }));
  const spoken = h("label", { class: "inline-label" }, "The server's language", language);
  store.on("places channel", () => {
    const direct = Boolean(store.guild?.direct);
    const channel = direct ? undefined : store.channel;
    title.textContent = channel ? `In #${channel.name} the bot may` : missing(direct);
    refill(rights, channel ? RIGHTS.map(([name, words]) => right(inThread(name, channel), words, channel)) : []);
    remove.hidden = !channel;
    for (const element of [add, spoken]) element.hidden = direct;
    language.value = store.guild?.locale ?? "";
  });
  rights.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target).closest("button");
    if (!target) return;
    const given = target.getAttribute("aria-checked") !== "true";
    perform("permission", { channel: store.channelId, right: target.dataset.right, given });
  });
  return h("div", { class: "section-body" }, title, rights, spoken, h("div", { class: "controls" }, add, remove));
}

/** @param {boolean} direct */
function missing(direct) {
  return direct ? "Direct messages: only you and the bot are here, and there are no rights to change." : "There is no channel.";
}

/** The right for a thread, where writing needs another one.
 * @param {string} name @param {import("../store.js").Channel} channel
 */
function inThread(name, channel) {
  return name === "send_messages" && channel.kind === "thread" ? "send_messages_in_threads" : name;
}

/** @param {string} name @param {string} words @param {import("../store.js").Channel} channel */
function right(name, words, channel) {
  const has = !channel.botLacks.includes(name);
  const state = { role: "switch", "aria-checked": String(has), "data-right": name };
  return h("button", { class: "switch", type: "button", ...state }, h("span", { class: "knob" }), words);
}
