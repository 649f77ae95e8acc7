// @ts-check
// The state of the page, and the listeners for its changes. No elements here.

/**
 * @typedef {{id: string, name: string, bot: boolean, person: boolean, locale: string}} User
 * @typedef {{view: boolean, send: boolean, manage: boolean}} Rights
 * @typedef {{id: string, name: string, kind: string, parent: string | null, rights: Record<string, Rights>,
 *   botLacks: string[]}} Channel
 * @typedef {{id: string, name: string, uploadLimit: number, members: string[], channels: Channel[],
 *   locale: string, direct?: boolean}} Guild
 * @typedef {Record<string, any> & {id: string, channel_id: string, content: string, flags: number,
 *   onlyFor: string | null, pings: string[], command: string | null, timestamp: string}} Message
 */

const SECTIONS = ["places", "commands", "bot", "api", "faults"];

export class Store {
  constructor() {
    /** @type {{bot: string, users: User[], guilds: Guild[]}} */
    this.places = { bot: "", users: [], guilds: [] };
    /** @type {any[]} */
    this.commands = [];
    /** @type {any} */
    this.bot = null;
    /** @type {any} */
    this.api = null;
    /** @type {any} */
    this.faults = null;
    /** @type {Map<string, any>} */
    this.timeline = new Map();
    /** @type {Map<string, Map<string, Message>>} */
    this._messages = new Map();
    /** @type {Map<string, ((detail: any) => void)[]>} */
    this._listeners = new Map();
    /** @type {Set<string>} */
    this.dismissed = new Set();
    /** @type {Map<string, number>} */
    this.mentions = new Map();
    /** @type {Set<string>} */
    this.unread = new Set();
    this.online = true;
    this.world = "";
    this.me = "";
    this.channelId = "";
  }

  /** @param {string} names @param {(detail: any) => void} listener */
  on(names, listener) {
    for (const name of names.split(" ")) {
      this._listeners.set(name, [...(this._listeners.get(name) ?? []), listener]);
    }
  }

  /** @param {string} name @param {unknown} [detail] */
  emit(name, detail) {
    for (const listener of this._listeners.get(name) ?? []) listener(detail);
  }

  /** Whether the demo's server answers.
   * @param {boolean} online
   */
  setOnline(online) {
    this.online = online;
    this.emit("online");
  }

  /** @param {any} event */
  receive(event) {
    if (event.type === "snapshot") this._start(event);
    else if (event.type === "message") this._message(event.message);
    else if (event.type === "message deleted") this._deleted(event.id);
    else if (event.type === "timeline") this._addEntries(event.entries);
    else if (SECTIONS.includes(event.type)) this._section(event.type, event[event.type]);
  }

  /** @param {any} event */
  _start(event) {
    if (this.world !== event.world) {
      this.dismissed.clear();
      this.mentions.clear();
      this.unread.clear();
    }
    this.world = event.world;
    this._messages.clear();
    this.timeline.clear();
    for (const name of SECTIONS) /** @type {any} */ (this)[name] = event[name];
    for (const message of event.messages) this._in(message.channel_id).set(message.id, message);
    for (const entry of event.timeline) this.timeline.set(entry.id, entry);
    this._replaceMissing();
    for (const name of [...SECTIONS, "channel", "timeline"]) this.emit(name);
  }

  /** @param {string} name @param {any} value */
  _section(name, value) {
    /** @type {any} */ (this)[name] = value;
    if (name === "places" && this._replaceMissing()) this.emit("channel");
    this.emit(name);
  }

  /** @param {Message} message */
  _message(message) {
    const known = this._in(message.channel_id);
    const isNew = !known.has(message.id);
    known.set(message.id, message);
    this.emit("message", { message, isNew });
  }

  /** @param {string} id */
  _deleted(id) {
    for (const messages of this._messages.values()) messages.delete(id);
    this.emit("removed", id);
  }

  /** @param {any[]} entries */
  _addEntries(entries) {
    for (const entry of entries) this.timeline.set(entry.id, entry);
    this.emit("timeline", entries);
  }

  /** @param {string} channelId */
  _in(channelId) {
    const found = this._messages.get(channelId) ?? new Map();
    this._messages.set(channelId, found);
    return found;
  }

  // --- the current person and channel

  /** @param {string} id */
  become(id) {
    this.me = id;
    this.mentions.clear();
    this.unread.clear();
    this._replaceMissing();
    this.emit("me");
    this.emit("places");
    this.emit("channel");
  }

  /** @param {string} id */
  visit(id) {
    this.channelId = id;
    this.read(id);
    this.emit("channel");
    this.emit("places");
  }

  /** @param {string} channelId */
  read(channelId) {
    this.mentions.delete(channelId);
    this.unread.delete(channelId);
  }

  /** Replace a person or channel that no longer exists. Returns whether one was replaced. */
  _replaceMissing() {
    const before = this.me + this.channelId;
    if (!this.people.some((person) => person.id === this.me)) this.me = this.people[0]?.id ?? "";
    if (!this.channel || !this.sees(this.channel)) {
      this.channelId = this.myGuilds.flatMap((guild) => guild.channels).find((each) => this.sees(each))?.id ?? "";
    }
    return before !== this.me + this.channelId;
  }

  /** The language that the current person's Discord is set to. */
  get locale() {
    return this.user(this.me)?.locale ?? "en-US";
  }

  get people() {
    return this.places.users.filter((user) => user.person);
  }

  get myGuilds() {
    return this.places.guilds.filter((guild) => guild.members.includes(this.me));
  }

  get guild() {
    return this.guildOf(this.channelId);
  }

  get channel() {
    return this.findChannel(this.channelId);
  }

  /** @param {string} channelId */
  guildOf(channelId) {
    return this.places.guilds.find((guild) => guild.channels.some((each) => each.id === channelId));
  }

  /** @param {string} id */
  findChannel(id) {
    return this.places.guilds.flatMap((guild) => guild.channels).find((each) => each.id === id);
  }

  /** @param {Channel} channel */
  sees(channel) {
    const guild = this.guildOf(channel.id);
    return Boolean(guild?.members.includes(this.me) && channel.rights[this.me]?.view);
  }

  /** @param {string} id */
  user(id) {
    return this.places.users.find((user) => user.id === id);
  }

  // --- messages

  /** The messages that this person sees in a channel, oldest first.
   * @param {string} channelId
   * @returns {Message[]}
   */
  messages(channelId) {
    return [...this._in(channelId).values()].filter((message) => this.shows(message));
  }

  /** @param {string} channelId */
  isEmpty(channelId) {
    for (const message of this._in(channelId).values()) if (this.shows(message)) return false;
    return true;
  }

  /** @param {string} id */
  findMessage(id) {
    for (const messages of this._messages.values()) {
      const found = messages.get(id);
      if (found) return found;
    }
    return undefined;
  }

  /** @param {Message} message */
  shows(message) {
    return (message.onlyFor === null || message.onlyFor === this.me) && !this.dismissed.has(message.id);
  }

  /** @param {Message} message */
  dismiss(message) {
    this.dismissed.add(message.id);
    this.emit("removed", message.id);
  }
}
