// @ts-check
// The tasks of the stand-in video API, with buttons that move them.

import { h } from "../dom.js";
import { icon } from "../icons.js";
import { actionSelect, button, select } from "./controls.js";

const FINAL = ["completed", "failed"];
/** @type {[string, string][]} */
const SPEEDS = [
  ["0", "by hand"],
  ["1", "as in life (2–5 min)"],
  ["10", "10 × faster"],
  ["60", "60 × faster"],
];

/**
 * @param {import("../store.js").Store} store
 * @param {import("./controls.js").Perform} perform
 * @param {(text: string) => void} compose
 */
export function taskSection(store, perform, compose) {
  const note = h("p", { class: "hint", role: "status" });
  const speed = select("Pace of the API", SPEEDS, (factor) => perform("speed", { factor: Number(factor) }));
  const create = h("button", { class: "small-button primary", type: "button" }, icon("plus"), "Create a task");
  const list = h("ul", { class: "tasks", "aria-label": "Tasks" });
  create.addEventListener("click", async () => {
    const id = await perform("create task");
    if (id) copy(id, note);
  });
  /** @type {Map<string, {element: HTMLElement, update: (task: any) => void}>} */
  const rows = new Map();
  store.on("api", () => {
    speed.value = String(store.api.factor);
    for (const [id, row] of rows) {
      if (store.api.tasks.some((/** @type {any} */ task) => task.id === id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    // Newest first. Existing rows stay, so that an open menu does not close.
    for (const task of [...store.api.tasks].reverse()) {
      let row = rows.get(task.id);
      if (!row) {
        row = taskRow(task, store.api, perform, compose, note);
        rows.set(task.id, row);
        list.prepend(row.element);
      }
      row.update(task);
    }
  });
  return h(
    "div",
    { class: "section-body" },
    h("div", { class: "controls" }, create, h("label", { class: "inline-label" }, "Pace", speed)),
    note,
    list,
  );
}

/** @param {string} id @param {HTMLElement} note */
async function copy(id, note) {
  try {
    await navigator.clipboard.writeText(id);
    note.textContent = `${id} is in your clipboard.`;
  } catch {
    // Some browsers copy only during a click or key press; the id can still be selected.
    note.textContent = `Created ${id}.`;
  }
}

/**
 * @param {any} first the task when the row is made
 * @param {any} api
 * @param {import("./controls.js").Perform} perform
 * @param {(text: string) => void} compose
 * @param {HTMLElement} note
 */
function taskRow(first, api, perform, compose, note) {
  const move = (/** @type {string} */ to, details = {}) => perform("move task", { task: first.id, to, ...details });
  const status = h("span", { class: "status" });
  const polls = h("span", { class: "hint" });
  const bar = h("progress", { max: "100", "aria-label": `Progress of ${first.id}` });
  const proceed = button("Proceed", () => move("processing"));
  const complete = actionSelect("Complete", first.id, api.clips, (clip) => move("completed", { clip }));
  const fail = actionSelect("Fail", first.id, api.reasons, (reason) => move("failed", { reason }));
  const element = h(
    "li",
    { class: "task", "data-id": first.id },
    h(
      "div",
      { class: "task-head" },
      h("code", { class: "task-id" }, first.id),
      iconButton("copy", `Copy ${first.id}`, () => copy(first.id, note)),
      iconButton("send", `Track ${first.id}`, () => compose(`/veo track id:${first.id}`)),
    ),
    h("div", { class: "task-state" }, status, polls),
    bar,
    h("div", { class: "controls" }, proceed, complete, fail, button("Forget", () => move("forgotten"))),
  );
  const update = (/** @type {any} */ task) => {
    const final = FINAL.includes(task.status);
    status.textContent = task.status;
    status.className = `status is-${task.status}`;
    polls.textContent = task.polls ? `asked ${task.polls} ×` : "not asked yet";
    bar.setAttribute("value", String(final ? 100 : task.progress));
    bar.hidden = final;
    proceed.hidden = task.status !== "queued";
    complete.hidden = fail.hidden = final;
  };
  return { element, update };
}

/** @param {string} name @param {string} label @param {() => unknown} run */
function iconButton(name, label, run) {
  return h("button", { class: "icon-button tiny", type: "button", "aria-label": label, title: label, onclick: run }, icon(name));
}
