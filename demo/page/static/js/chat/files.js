// @ts-check
// Builds attachments and embeds, and the media that components show.

import { h } from "../dom.js";
import { icon } from "../icons.js";
import { markup } from "../markup/blocks.js";

/** @typedef {import("../markup/inline.js").Surroundings} Surroundings */

const ATTACHED = "attachment://";

/** @param {number} bytes */
function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(0)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** @param {any} file */
export function attachment(file) {
  const isVideo = String(file.content_type).startsWith("video/");
  const label = h(
    "span",
    { class: "file-name" },
    icon("film"),
    h("span", { class: "file-title", title: file.filename }, file.filename),
    h("span", { class: "file-size" }, size(file.size)),
  );
  const link = h(
    "a",
    { class: "download", href: file.url, download: file.filename, title: "Download", "aria-label": `Download ${file.filename}` },
    icon("download"),
  );
  const foot = h("div", { class: "file-foot" }, label, link);
  return h("div", { class: isVideo ? "file has-video" : "file" }, isVideo && player(file), foot);
}

/** A video in its own shape, with one large button that plays it; the browser's controls come with the first play.
 * @param {any} file an attachment, or anything else with a url
 */
function player(file) {
  const name = file.description || file.filename || "Video";
  const video = /** @type {HTMLVideoElement} */ (
    h("video", { playsinline: true, preload: "metadata", src: file.url, "aria-label": name, title: file.description || false })
  );
  const length = h("span", { class: "video-length" });
  const play = h("button", { class: "play", type: "button", "aria-label": `Play ${name}` }, h("span", { class: "play-sign" }, icon("play")));
  const box = h("div", { class: "player" }, video, play, length);
  const shape = (/** @type {number} */ width, /** @type {number} */ height) => {
    if (!(width > 0 && height > 0)) return;
    video.style.aspectRatio = `${width} / ${height}`;
    video.classList.toggle("is-tall", height > width);
  };
  shape(file.width, file.height);
  video.addEventListener("loadedmetadata", () => {
    shape(video.videoWidth, video.videoHeight);
    length.textContent = minutes(video.duration);
  });
  const begin = () => {
    video.controls = true;
    video.tabIndex = 0;
    const focused = document.activeElement === play;
    play.remove();
    length.remove();
    if (focused) video.focus();
  };
  play.addEventListener("click", () => video.play());
  video.addEventListener("play", begin);
  return box;
}

/** "0:08"
 * @param {number} seconds
 */
function minutes(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A picture or video that a component shows; `attachment://name` is one of the message's files.
 * @param {any} shown the component's media @param {string | null} description @param {any[]} files
 */
export function media(shown, description, files) {
  const url = String(shown?.url ?? "");
  const name = url.startsWith(ATTACHED) ? url.slice(ATTACHED.length) : url.split("/").pop();
  const file = files.find((each) => each.filename === name) ?? { ...shown, filename: name };
  if (String(file.content_type).startsWith("video/")) return player({ ...file, description: description ?? file.description });
  const safe = /^(https?:\/)?\//.test(String(file.url)) ? file.url : undefined;
  return h("a", { class: "link", href: safe, target: "_blank", rel: "noopener noreferrer" }, description || file.filename);
}

/** @param {any} embed @param {Surroundings} around */
export function embedded(embed, around) {
  const fields = (embed.fields ?? []).map((/** @type {any} */ field) =>
    h("div", { class: field.inline ? "field inline" : "field" }, h("b", {}, field.name), markup(field.value, around)),
  );
  const box = h(
    "div",
    { class: "embed" },
    embed.title && h("b", { class: "embed-title" }, embed.title),
    embed.description && h("div", {}, markup(embed.description, around)),
    fields,
    embed.footer && h("small", { class: "subtext" }, embed.footer.text),
  );
  if (embed.color) box.style.borderInlineStartColor = `#${embed.color.toString(16).padStart(6, "0")}`;
  return box;
}
