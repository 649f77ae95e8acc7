// @ts-check
// The panel "Behind the scenes", right of the chat: foldable sections, one module each.

import { byId, h } from "../dom.js";
import { icon } from "../icons.js";
import { botSection } from "./bot.js";
import { faultSection } from "./faults.js";
import { placeSection } from "./place.js";
import { taskSection } from "./tasks.js";
import { timelineSection } from "./timeline.js";

/**
 * @param {import("../store.js").Store} store
 * @param {import("../connection.js").Connection} connection
 * @param {(text: string) => void} compose puts a text into the message box
 */
export function showInspector(store, connection, compose) {
  const problem = h("div", { class: "problem", role: "alert" });
  const perform = async (/** @type {string} */ action, /** @type {Record<string, unknown>} */ details = {}) => {
    problem.textContent = "";
    try {
      return await connection.perform(action, details);
    } catch (error) {
      problem.textContent = String(/** @type {Error} */ (error).message);
      return null;
    }
  };
  const close = h("button", { class: "icon-button drawer-only", type: "button", "aria-label": "Close" }, icon("close"));
  close.addEventListener("click", () => byId("open-inspector").click());
  byId("inspector").append(
    h("header", { class: "inspector-head" }, h("h2", {}, "Behind the scenes"), close),
    problem,
    section("The bot", botSection(store, perform)),
    section("The video API", taskSection(store, perform, compose)),
    section("This channel", placeSection(store, perform), false),
    section("Let something go wrong", faultSection(store, perform), false),
    section("Requests", timelineSection(store)),
  );
  return { perform, createTask: () => perform("create task") };
}

/** @param {string} title @param {Node} content @param {boolean} [open] */
function section(title, content, open = true) {
  return h("details", { class: "section", open }, h("summary", {}, h("h3", {}, title)), content);
}
