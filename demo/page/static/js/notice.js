// @ts-check
// A short notice above the message box, such as for a link that leads nowhere.

import { byId } from "./dom.js";

const SHOWN_FOR = 6000; // milliseconds

/** @type {ReturnType<typeof setTimeout> | undefined} */
let ending;

/** @param {string} text */
export function notice(text) {
  const box = byId("notice");
  box.textContent = text;
  clearTimeout(ending);
  ending = setTimeout(() => (box.textContent = ""), SHOWN_FOR);
}
