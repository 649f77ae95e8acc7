// @ts-check
// The chat's actions of the person at this page. Failures are shown as Discord shows them.

import { h } from "./dom.js";
import { Refused } from "./connection.js";

/** @typedef {import("./store.js").Message} Message */

export class ChatActions {
  /** @param {import("./connection.js").Connection} connection @param {import("./store.js").Store} store */
  constructor(connection, store) {
    this._connection = connection;
    this._store = store;
    /** @type {import("./chat/list.js").MessageList | null} set by main.js */
    this.list = null;
  }

  /** @param {string} text @returns {Promise<string | null>} the reason if it was refused */
  async say(text) {
    return this._refusal(this._here("say", { text }));
  }

  /** @param {string} command @param {Record<string, unknown>} options @returns {Promise<string | null>} */
  async slash(command, options) {
    return this._used(`/${command}`, this._here("slash", { command, options }));
  }

  /** @param {Message} message @param {string} command */
  async messageCommand(message, command) {
    const refused = await this._used(command, this._here("message command", { message: message.id, command }));
    if (refused) this.list?.fail(message.id, refused);
  }

  /** @param {string} command @param {string} focused @param {Record<string, string>} options */
  async autocomplete(command, focused, options) {
    try {
      return await this._here("autocomplete", { command, focused, options });
    } catch {
      return null;
    }
  }

  /** @param {Message} message @param {string} button */
  async press(message, button) {
    this.list?.fail(message.id, "");
    try {
      await this._here("press", { message: message.id, button });
    } catch {
      this.list?.fail(message.id, "This interaction failed");
    }
  }

  /** @param {Message} message */
  async remove(message) {
    const refused = await this._refusal(this._here("delete message", { message: message.id }));
    if (refused) this.list?.fail(message.id, refused);
  }

  /** Perform an action as this person in this channel.
   * @param {string} action @param {Record<string, unknown>} details
   */
  _here(action, details) {
    return this._connection.perform(action, { person: this._store.me, channel: this._store.channelId, ...details });
  }

  /** Run a command; if the bot does not answer, a line stays that only this page shows.
   * @param {string} name @param {Promise<unknown>} work
   */
  async _used(name, work) {
    const line = pendingLine(this._store.user(this._store.me)?.name ?? "", name);
    // Delayed, because most answers come before one could read the line.
    const soon = setTimeout(() => this.list?.note(line), 250);
    try {
      await work;
    } catch (error) {
      if (!(error instanceof Refused) || !error.failed) return String(/** @type {Error} */ (error).message);
      line.classList.add("failed");
      line.lastElementChild?.replaceChildren(error.message);
      if (!line.isConnected) this.list?.note(line);
      return null;
    } finally {
      clearTimeout(soon);
      if (!line.classList.contains("failed")) line.remove();
    }
    return null;
  }

  /** @param {Promise<unknown>} work @returns {Promise<string | null>} */
  async _refusal(work) {
    try {
      await work;
      return null;
    } catch (error) {
      return String(/** @type {Error} */ (error).message);
    }
  }
}

/** @param {string} who @param {string} name */
function pendingLine(who, name) {
  return h(
    "li",
    { class: "local" },
    h("div", { class: "origin" }, h("span", { class: "origin-name" }, who), " used ", h("span", { class: "pill" }, name)),
    h("div", { class: "local-text", role: "status" }, "Sending command…"),
  );
}
