// @ts-check
// Notifies of new messages: badges, the window's title, a sound, and a text for screen readers.

import { byId } from "./dom.js";
import { icon } from "./icons.js";
import { isFor } from "./chat/message.js";
import { preview } from "./markup/preview.js";

const KEPT = "veo-courier-sound";

/** @param {import("./store.js").Store} store */
export function notifyPeople(store) {
  const sound = new Sound(byId("sound"));
  store.on("message", ({ message, isNew }) => {
    if (!isNew || !store.shows(message) || message.author.id === store.me) return;
    const channel = store.findChannel(message.channel_id);
    if (!channel || !store.sees(channel)) return;
    // Discord counts every direct message like a mention.
    const mentioned = isFor(message, store.me) || channel.kind === "dm";
    announce(preview(message, (id) => store.user(id)?.name), channel, mentioned);
    if (mentioned) sound.play();
    if (message.channel_id !== store.channelId || document.hidden) {
      const known = store.unread.has(message.channel_id);
      store.unread.add(message.channel_id);
      if (mentioned) store.mentions.set(message.channel_id, (store.mentions.get(message.channel_id) ?? 0) + 1);
      if (mentioned || !known) store.emit("places");
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    store.read(store.channelId);
    store.emit("places");
  });
  store.on("places channel me", () => {
    const count = [...store.mentions.values()].reduce((sum, each) => sum + each, 0);
    const sign = store.channel?.kind === "dm" ? "@" : "#";
    document.title = `${count > 0 ? `(${count}) ` : ""}${sign}${store.channel?.name ?? ""} · veo-courier demo`;
  });
}

/** @param {string} text @param {import("./store.js").Channel} channel @param {boolean} mentioned */
function announce(text, channel, mentioned) {
  const what = mentioned ? "You were mentioned" : "New message";
  const where = channel.kind === "dm" ? "Direct message" : `${what} in ${channel.name}`;
  byId("announcer").textContent = `${where}: ${text}`;
}

class Sound {
  /** @param {HTMLElement} button */
  constructor(button) {
    this._button = button;
    /** @type {AudioContext | null} */
    this._audio = null;
    this._show(localStorage.getItem(KEPT) === "on");
    button.addEventListener("click", () => {
      this._show(!this._on);
      localStorage.setItem(KEPT, this._on ? "on" : "off");
      this.play();
    });
  }

  /** @param {boolean} on */
  _show(on) {
    this._on = on;
    this._button.replaceChildren(icon(on ? "bell" : "bellOff"));
    this._button.setAttribute("aria-pressed", String(on));
    this._button.setAttribute("aria-label", "Sound when you are mentioned");
    this._button.title = on ? "Sound when you are mentioned: on" : "Sound when you are mentioned: off";
  }

  /** Two short tones; browsers allow them only after a click or key press. */
  play() {
    if (!this._on) return;
    const audio = (this._audio ??= new AudioContext());
    [880, 1320].forEach((pitch, index) => {
      const begin = audio.currentTime + index * 0.12;
      const tone = new OscillatorNode(audio, { frequency: pitch });
      const loudness = new GainNode(audio, { gain: 0 });
      loudness.gain.setValueAtTime(0.12, begin);
      loudness.gain.exponentialRampToValueAtTime(0.001, begin + 0.25);
      tone.connect(loudness).connect(audio.destination);
      tone.start(begin);
      tone.stop(begin + 0.25);
    });
  }
}
