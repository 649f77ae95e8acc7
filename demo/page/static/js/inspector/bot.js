// @ts-check
// The bot's process: its state, and buttons to kill it at a chosen moment and start it again.

import { h, refill } from "../dom.js";
import { button, select } from "./controls.js";

/** @type {Record<string, string>} */
const WORDS = { running: "running", starting: "starting …", killed: "killed", ended: "ended", stopped: "not started" };
/** @type {[string, string][]} */
const MOMENTS = [
  ["now", "now"],
  ["received", "while it uploads a result"],
  ["accepted", "when Discord has it, before the bot knows"],
];

/** @param {import("../store.js").Store} store @param {import("./controls.js").Perform} perform */
export function botSection(store, perform) {
  const state = h("p", { class: "bot-state", role: "status" });
  const detail = h("p", { class: "hint" });
  const log = h("pre", { class: "log", hidden: true });
  const moment = select("When to kill it", MOMENTS.map(([value, words]) => /** @type {[string, string]} */ ([value, `kill it ${words}`])));
  const kill = button("Kill -9", () => perform("kill bot", { moment: moment.value }), "danger");
  const disarm = button("Never mind", () => perform("disarm"));
  const start = button("Start it again", () => perform("start bot"), "primary");
  store.on("bot", () => {
    const bot = store.bot;
    const alive = bot.state === "running" || bot.state === "starting";
    const ending = bot.state === "ended" && ` with exit code ${bot.exitCode}`;
    refill(state, h("span", { class: `lamp is-${bot.state}` }), WORDS[bot.state], ending);
    state.dataset.state = bot.state;
    detail.textContent = bot.trap
      ? `It will be killed ${MOMENTS.find(([value]) => value === bot.trap)?.[1]}.`
      : `It asks about each task every ${bot.pollInterval} s (in life: at least 30 s).`;
    log.hidden = !bot.problem;
    log.textContent = bot.problem ?? "";
    for (const element of [kill, moment]) element.hidden = !alive || Boolean(bot.trap);
    disarm.hidden = !bot.trap;
    start.hidden = alive;
  });
  return h("div", { class: "section-body" }, state, detail, h("div", { class: "controls" }, moment, kill, disarm, start), log);
}
