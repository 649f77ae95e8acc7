// @ts-check
// Right: the other side of the glass. Sections that fold, one module each.

import { byId, h } from "../dom.js";
import { icon } from "../icons.js";
import { botSection } from "./bot.js";
import { placeSection } from "./place.js";
import { faultSection } from "./faults.js";
import { taskSection } from "./tasks.js";
import { timelineSection } from "./timeline.js";

/**
 * @param {import("../store.js").Store} store
 * @param {import("../connection.js").Connection} connection
 * @param {(text: string) => void} compose puts a text into the message box
 */
export function showGlass(store, connection, compose) {
  const problem = h("div", { class: "problem", role: "alert" });
  const wish = async (/** @type {string} */ what, /** @type {Record<string, unknown>} */ details = {}) => {
    problem.textContent = "";
    try {
      return await connection.ask(what, details);
    } catch (error) {
      problem.textContent = String(/** @type {Error} */ (error).message);
      return null;
    }
  };
  const close = h("button", { class: "icon-button drawer-only", type: "button", "aria-label": "Close" }, icon("close"));
  close.addEventListener("click", () => byId("open-glass").click());
  byId("glass").append(
    h("header", { class: "glass-head" }, h("h2", {}, "Other side of the glass"), close),
    problem,
    section("The bot's process", botSection(store, wish)),
    section("Video API", taskSection(store, wish, compose)),
    section("This channel", placeSection(store, wish), false),
    section("Faults for the next requests", faultSection(store, wish), false),
    section("On the wire", timelineSection(store)),
  );
  return { createTask: () => wish("create task") };
}

/** @param {string} title @param {Node} content @param {boolean} [open] */
function section(title, content, open = true) {
  return h("details", { class: "section", open }, h("summary", {}, h("h3", {}, title)), content);
}
