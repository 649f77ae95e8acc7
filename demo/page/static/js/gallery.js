// @ts-check
// Draws one sample message alone with the page's own renderer; gallery.py takes its picture.

import { byId } from "./dom.js";
import { messageElement } from "./chat/message.js";
import { setLanguage } from "./time.js";

const EPHEMERAL = 1 << 6;
const SHOWN_SECOND = 3;
const PEOPLE = ["alice", "bob", "carol", "dave"];
const BOT = { id: "bot", username: "veo-courier", bot: true };

/** Names for the ids in the samples, in the order in which they appear.
 * @type {Map<string, string>}
 */
const names = new Map();

/** @param {string} id */
function user(id) {
  if (!names.has(id)) names.set(id, PEOPLE[names.size % PEOPLE.length]);
  return { id, name: names.get(id), bot: false, person: true, locale: "en-US" };
}

const store = /** @type {any} */ ({
  user,
  me: "",
  findChannel: () => ({ name: "renders" }),
  findMessage: () => undefined,
});

const actions = { press: async () => undefined, menu: () => undefined, jump: () => undefined };

/** Draw a sample, and wait until its fonts and videos are there.
 * @param {any} sample
 */
async function draw(sample) {
  setLanguage(sample.language);
  document.documentElement.lang = sample.language;
  // Without the bot's name and picture, which are the same on every message.
  const element = messageElement(/** @type {any} */ (message(sample)), true, store, actions);
  byId("messages").replaceChildren(element);
  await Promise.all([document.fonts.ready, ...[...element.querySelectorAll("video")].map(loaded)]);
}

/** @param {any} sample */
function message({ author, payload, private: isPrivate }) {
  return {
    content: "",
    embeds: [],
    components: [],
    ...payload,
    id: "1",
    channel_id: "1",
    author: author === "bot" ? BOT : { id: author, username: author, bot: false },
    attachments: (payload.attachments ?? []).map(file),
    flags: (payload.flags ?? 0) | (isPrivate ? EPHEMERAL : 0),
    timestamp: new Date().toISOString(),
    pings: [],
    onlyFor: null,
    command: null,
  };
}

/** An attachment with the film in its shape.
 * @param {any} given
 */
function file(given) {
  const isVideo = /\.mp4$/.test(given.filename);
  const url = given.height > given.width ? "/clips/veo-portrait.mp4" : "/clips/veo.mp4";
  return { content_type: isVideo ? "video/mp4" : "application/octet-stream", ...given, url };
}

/** Show the frame of a later second, and wait until it is drawn.
 * @param {HTMLVideoElement} video
 */
function loaded(video) {
  return new Promise((done) => {
    video.requestVideoFrameCallback(() => done(null));
    video.preload = "auto";
    video.currentTime = SHOWN_SECOND;
  });
}

Object.assign(window, { drawSample: draw });
