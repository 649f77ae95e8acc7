// @ts-check
// The left panel: the servers, the channels of the current one, and the person to be.

import { byId, h, refill } from "./dom.js";
import { face, icon } from "./icons.js";
import { LANGUAGES } from "./language.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Channel} Channel */

const ICONS = { thread: "thread", voice: "voice", dm: "at" };

/**
 * @param {Store} store
 * @param {() => void} moved called when another channel was chosen
 * @param {(person: string, locale: string) => void} speak sets the language of a person's Discord
 */
export function showPlaces(store, moved, speak) {
  const go = (/** @type {string} */ id) => {
    store.visit(id);
    moved();
  };
  store.on("places channel me", () => {
    drawServers(store, go);
    drawChannels(store, go);
    drawPeople(store, speak);
    drawBar(store);
  });
}

/** @param {Store} store @param {(id: string) => void} go */
function drawServers(store, go) {
  const buttons = store.myGuilds.map((guild) => {
    const here = guild === store.guild;
    const seen = guild.channels.filter((channel) => store.sees(channel));
    const count = seen.reduce((sum, channel) => sum + (store.mentions.get(channel.id) ?? 0), 0);
    const button = h(
      "button",
      { class: "server", type: "button", "aria-current": here ? "true" : false, title: guild.name, "data-id": guild.id },
      guild.direct ? icon("mail") : h("span", { "aria-hidden": "true" }, initials(guild.name)),
      h("span", { class: "unseen" }, guild.name),
      badge(count),
    );
    return button;
  });
  const box = byId("servers");
  refill(box, buttons);
  box.onclick = (event) => {
    const id = /** @type {Element} */ (event.target).closest(".server")?.getAttribute("data-id");
    const first = store.myGuilds.find((guild) => guild.id === id)?.channels.find((channel) => store.sees(channel));
    if (first) go(first.id);
  };
}

/** @param {Store} store @param {(id: string) => void} go */
function drawChannels(store, go) {
  byId("server-name").textContent = store.guild?.name ?? "";
  const seen = (store.guild?.channels ?? []).filter((channel) => store.sees(channel));
  const threads = (/** @type {Channel} */ above) => seen.filter((each) => each.parent === above.id);
  const inOrder = seen.filter((each) => !each.parent).flatMap((each) => [each, ...threads(each)]);
  const box = byId("channels");
  refill(box, inOrder.map((channel) => channelButton(channel, store)));
  box.onclick = (event) => {
    const id = /** @type {Element} */ (event.target).closest(".channel")?.getAttribute("data-id");
    if (id) go(id);
  };
}

/** @param {Channel} channel @param {Store} store */
function channelButton(channel, store) {
  const unread = store.unread.has(channel.id);
  return h(
    "button",
    {
      class: `channel is-${channel.kind}${unread ? " unread" : ""}`,
      type: "button",
      "data-id": channel.id,
      "aria-current": channel.id === store.channelId ? "page" : false,
    },
    icon(/** @type {Record<string, string>} */ (ICONS)[channel.kind] ?? "text"),
    h("span", { class: "channel-label" }, channel.name),
    h("span", { class: "unseen" }, kindWords(channel), unread && ", unread"),
    badge(store.mentions.get(channel.id) ?? 0),
  );
}

/** @param {Channel} channel */
function kindWords(channel) {
  return { thread: ", thread", voice: ", chat of a voice channel" }[channel.kind] ?? "";
}

/** @param {number} count */
function badge(count) {
  return count > 0 && h("span", { class: "badge" }, count, h("span", { class: "unseen" }, count === 1 ? " mention" : " mentions"));
}

/** @param {Store} store @param {(person: string, locale: string) => void} speak */
function drawPeople(store, speak) {
  const choices = store.people.map((person) =>
    h(
      "label",
      { class: "person" },
      h("input", { type: "radio", name: "me", value: person.id }),
      face(person.name, false),
      h("span", { class: "person-name" }, person.name),
      h("span", { class: "person-rights" }, rightsWords(person.id, store)),
    ),
  );
  const box = byId("people");
  refill(box, h("legend", {}, "You are"), choices, language());
  for (const input of box.querySelectorAll("input")) input.checked = input.value === store.me;
  for (const select of box.querySelectorAll("select")) select.value = store.locale;
  box.onchange = ({ target }) => {
    if (target instanceof HTMLSelectElement) speak(store.me, target.value);
    else store.become(/** @type {HTMLInputElement} */ (target).value);
  };
}

function language() {
  const options = LANGUAGES.map(([value, name]) => h("option", { value, lang: value }, name));
  const select = h("select", { class: "small-select", "aria-label": "Language of this person's Discord" }, options);
  return h("label", { class: "language" }, icon("globe"), h("span", {}, "Discord in"), select);
}

/** @param {string} id @param {Store} store */
function rightsWords(id, store) {
  // Direct messages have no rights to speak of, so the words are those of the person's first server.
  const channel = store.guild?.direct ? store.places.guilds.find((guild) => guild.members.includes(id))?.channels[0] : store.channel;
  if (channel?.rights[id]?.manage) return "can manage messages";
  const servers = store.places.guilds.filter((guild) => !guild.direct);
  return servers.every((guild) => guild.members.includes(id)) ? "member" : "member of one server";
}

/** @param {Store} store */
function drawBar(store) {
  const channel = store.channel;
  refill(
    byId("channel-name"),
    icon(/** @type {Record<string, string>} */ (ICONS)[channel?.kind ?? ""] ?? "text"),
    h("span", { class: "channel-title" }, channel?.name ?? "no channel"),
  );
  byId("channel-topic").textContent = topic(channel);
}

/** @param {Channel | undefined} channel */
function topic(channel) {
  if (!channel) return "";
  if (channel.botLacks.includes("view_channel")) return "The bot cannot see this channel";
  const writing = channel.kind === "thread" ? "send_messages_in_threads" : "send_messages";
  if (channel.botLacks.includes(writing)) return "The bot may not write here";
  if (channel.botLacks.includes("attach_files")) return "The bot may not attach files here";
  const kinds = { thread: "A thread", voice: "The chat of a voice channel", dm: "What the bot writes to you alone" };
  return kinds[/** @type {keyof typeof kinds} */ (channel.kind)] ?? "";
}

/** @param {string} name */
function initials(name) {
  return name.split(/\s+/).map((word) => word[0]).join("").slice(0, 3);
}
