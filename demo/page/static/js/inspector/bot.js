// @ts-check
// The bot's process: its state, and controls that end it without warning and start it again.

import { h, refill } from "../dom.js";
import { actionSelect, button } from "./controls.js";

// Seconds between two polls of one task, where the API is the real one.
const REAL_INTERVAL = 30;

/** @type {Record<string, string>} */
const WORDS = {
  running: "Running",
  starting: "Starting …",
  killed: "Stopped by you, without warning (SIGKILL)",
  ended: "Ended",
  stopped: "Not started",
  offline: "Unknown: the demo has stopped",
};
/** @type {[string, string][]} value and words */
const MOMENTS = [
  ["received", "while it uploads its next message"],
  ["accepted", "when Discord has its next message, before the bot knows"],
];

/** @param {import("../store.js").Store} store @param {import("./controls.js").Perform} perform */
export function botSection(store, perform) {
  const state = h("p", { class: "bot-state", role: "status" });
  const detail = h("p", { class: "hint" });
  const log = h("pre", { class: "log", tabindex: "0", "aria-label": "The bot's log", hidden: true });
  const stop = button("Stop the process at once", () => perform("kill bot", { moment: "now" }), "danger");
  const later = actionSelect("Stop it later", MOMENTS, (moment) => perform("kill bot", { moment }));
  const disarm = button("Never mind", () => perform("disarm"));
  const start = button("Start it again", () => perform("start bot"), "primary");
  const show = () => {
    const bot = store.bot;
    if (!bot) return;
    const shown = store.online ? bot.state : "offline";
    const alive = shown === "running" || shown === "starting";
    const ending = shown === "ended" && ` with exit code ${bot.exitCode}`;
    refill(state, h("span", { class: `lamp is-${shown}` }), WORDS[shown], ending);
    state.dataset.state = shown;
    detail.textContent = about(bot);
    log.hidden = !bot.problem;
    log.textContent = bot.problem ?? "";
    for (const element of [stop, later]) element.hidden = !alive || Boolean(bot.trap);
    disarm.hidden = !bot.trap || !alive;
    start.hidden = alive || shown === "offline";
  };
  store.on("bot online", show);
  return h("div", { class: "section-body" }, state, detail, h("div", { class: "controls" }, stop, later, disarm, start), log);
}

/** @param {any} bot */
function about(bot) {
  if (bot.trap) return `It will be stopped ${MOMENTS.find(([value]) => value === bot.trap)?.[1]}.`;
  const real = bot.pollInterval < REAL_INTERVAL ? ` (for real: ${REAL_INTERVAL} s)` : "";
  return `It polls each task every ${bot.pollInterval} s${real}.`;
}
