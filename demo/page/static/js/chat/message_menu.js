// @ts-check
// A message's menu: the bot's message commands first, then copy and delete.

import { wholeText } from "../markup/preview.js";
import { localised } from "../language.js";
import { openMenu } from "./menu.js";

const MESSAGE_COMMAND = 3;
const EPHEMERAL = 1 << 6;

/**
 * @param {import("../store.js").Message} message
 * @param {Element} at
 * @param {import("../store.js").Store} store
 * @param {import("../actions.js").ChatActions} actions
 */
export function messageMenu(message, at, store, actions) {
  const guildId = store.guild?.id;
  const isEphemeral = Boolean(message.flags & EPHEMERAL);
  /** @type {import("./menu.js").Entry[]} */
  const entries = store.commands
    .filter((each) => each.type === MESSAGE_COMMAND && (!each.guild_id || each.guild_id === guildId) && !isEphemeral)
    .map((each) => ({ label: localised(each, "name", store.locale), icon: "command", run: () => actions.messageCommand(message, each.name) }));
  entries.push({ label: "Copy text", icon: "copy", run: () => navigator.clipboard.writeText(wholeText(message)) });
  if (isEphemeral) {
    entries.push({ label: "Dismiss message", icon: "close", run: () => store.dismiss(message) });
  } else if (message.author.id === store.me || store.channel?.rights[store.me]?.manage) {
    entries.push({ label: "Delete message", icon: "trash", danger: true, run: () => actions.remove(message) });
  }
  openMenu(entries, at, "Message");
}
