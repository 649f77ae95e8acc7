// @ts-check
// The stand-in video API's tasks, moved by themselves or by hand.

import { h } from "../dom.js";
import { icon } from "../icons.js";
import { actionSelect, button, select } from "./controls.js";

const FINAL = ["completed", "failed"];
/** @type {[string, string][]} */
const PACES = [
  ["0", "by hand"],
  ["1", "as in life (2–5 min)"],
  ["10", "10 × faster"],
  ["60", "60 × faster"],
];

/**
 * @param {import("../store.js").Store} store
 * @param {import("./controls.js").Wish} wish
 * @param {(text: string) => void} compose
 */
export function taskSection(store, wish, compose) {
  const said = h("p", { class: "hint", role: "status" });
  const pace = select("Pace of the API", PACES, (factor) => wish("pace", { factor: Number(factor) }));
  const create = h("button", { class: "small-button primary", type: "button" }, icon("plus"), "Create a task");
  const list = h("ul", { class: "tasks", "aria-label": "Tasks" });
  create.addEventListener("click", async () => {
    const id = await wish("create task");
    if (id) copy(id, said);
  });
  /** @type {Map<string, {element: HTMLElement, update: (task: any) => void}>} */
  const rows = new Map();
  store.on("api", () => {
    pace.value = String(store.api.factor);
    for (const [id, row] of rows) {
      if (store.api.tasks.some((/** @type {any} */ task) => task.id === id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    // Newest first, and rows that are there stay: a menu that is open must not close under the hand.
    for (const task of [...store.api.tasks].reverse()) {
      let row = rows.get(task.id);
      if (!row) {
        row = taskRow(task, store.api, wish, compose, said);
        rows.set(task.id, row);
        list.prepend(row.element);
      }
      row.update(task);
    }
  });
  return h(
    "div",
    { class: "section-body" },
    h("div", { class: "controls" }, create, h("label", { class: "inline-label" }, "Pace", pace)),
    said,
    list,
  );
}

/** @param {string} id @param {HTMLElement} said */
async function copy(id, said) {
  try {
    await navigator.clipboard.writeText(id);
    said.textContent = `${id} is in your clipboard.`;
  } catch {
    // Some browsers copy only while a key is down; the id is there to be selected.
    said.textContent = `Created ${id}.`;
  }
}

/**
 * @param {any} first the task as it is at first
 * @param {any} api
 * @param {import("./controls.js").Wish} wish
 * @param {(text: string) => void} compose
 * @param {HTMLElement} said
 */
function taskRow(first, api, wish, compose, said) {
  const move = (/** @type {string} */ to, details = {}) => wish("move task", { task: first.id, to, ...details });
  const status = h("span", { class: "status" });
  const asked = h("span", { class: "hint" });
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
      iconButton("copy", `Copy ${first.id}`, () => copy(first.id, said)),
      iconButton("send", `Track ${first.id}`, () => compose(`/veo track id:${first.id}`)),
    ),
    h("div", { class: "task-state" }, status, asked),
    bar,
    h("div", { class: "controls" }, proceed, complete, fail, button("Forget", () => move("forgotten"))),
  );
  const update = (/** @type {any} */ task) => {
    const final = FINAL.includes(task.status);
    status.textContent = task.status;
    status.className = `status is-${task.status}`;
    asked.textContent = task.asked ? `asked ${task.asked} ×` : "not asked yet";
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
