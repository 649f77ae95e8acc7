// @ts-check
// The tasks of the stand-in video API, newest first, with controls that move them. Ended ones are folded away.

import { h } from "../dom.js";
import { icon } from "../icons.js";
import { actionSelect, button, select } from "./controls.js";

const FINAL = ["completed", "failed"];
/** @type {[string, string][]} */
const SPEEDS = [
  ["0", "by hand"],
  ["1", "real time (2–5 min)"],
  ["10", "10 × faster"],
  ["60", "60 × faster"],
];

/**
 * @param {import("../store.js").Store} store
 * @param {import("./controls.js").Perform} perform
 * @param {(text: string) => void} compose
 */
export function taskSection(store, perform, compose) {
  const speed = select("Speed of the video API", SPEEDS, (factor) => perform("speed", { factor: Number(factor) }));
  const create = h("button", { class: "small-button primary", type: "button" }, icon("plus"), "Create a task");
  create.addEventListener("click", async () => {
    const id = await perform("create task");
    if (id) compose(`/veo track id:${id}`);
  });
  const tasks = new TaskLists(store, perform, compose);
  store.on("api", () => {
    speed.value = String(store.api.factor);
    tasks.show();
  });
  const pace = h("label", { class: "inline-label" }, "Speed", speed);
  return h("div", { class: "section-body" }, h("div", { class: "controls" }, create, pace), tasks.open, tasks.ended);
}

class TaskLists {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("./controls.js").Perform} perform
   * @param {(text: string) => void} compose
   */
  constructor(store, perform, compose) {
    this._store = store;
    this._perform = perform;
    this._compose = compose;
    /** @type {Map<string, {element: HTMLElement, update: (task: any) => void}>} */
    this._rows = new Map();
    this.open = h("ul", { class: "tasks", "aria-label": "Tasks" });
    this._endedList = h("ul", { class: "tasks", "aria-label": "Ended tasks" });
    this._endedTitle = h("summary", {});
    this.ended = h("details", { class: "ended", hidden: true }, this._endedTitle, this._endedList);
  }

  show() {
    const tasks = this._store.api.tasks;
    this._removeMissing(tasks);
    // The oldest first, each before the others. Existing rows stay, so that an open menu does not close.
    for (const task of [...tasks].reverse()) {
      const row = this._row(task);
      const list = FINAL.includes(task.status) ? this._endedList : this.open;
      if (row.element.parentElement !== list) list.prepend(row.element);
      row.update(task);
    }
    const count = this._endedList.children.length;
    this.ended.hidden = count === 0;
    this._endedTitle.textContent = `${count} ended`;
  }

  /** @param {any} task */
  _row(task) {
    const row = this._rows.get(task.id) ?? taskRow(task, this._store.api, this._perform, this._compose);
    this._rows.set(task.id, row);
    return row;
  }

  /** @param {any[]} tasks */
  _removeMissing(tasks) {
    for (const [id, row] of this._rows) {
      if (tasks.some((task) => task.id === id)) continue;
      row.element.remove();
      this._rows.delete(id);
    }
  }
}

/**
 * @param {any} first the task when the row is made
 * @param {any} api
 * @param {import("./controls.js").Perform} perform
 * @param {(text: string) => void} compose
 */
function taskRow(first, api, perform, compose) {
  const status = h("span", { class: "status" });
  const polls = h("span", { class: "polls" });
  const bar = h("progress", { max: "100", "aria-label": `Progress of ${first.id}` });
  const track = button("Track", () => compose(`/veo track id:${first.id}`));
  track.setAttribute("aria-label", `Track ${first.id}`);
  const change = actionSelect("Change", changes(api), (value) => perform("move task", { task: first.id, ...JSON.parse(value) }), first.id);
  const element = h(
    "li",
    { class: "task", "data-id": first.id },
    h("div", { class: "task-about" }, h("code", { class: "task-id" }, first.id), h("div", { class: "task-state" }, status, polls)),
    h("div", { class: "task-controls" }, track, change),
    bar,
  );
  const update = (/** @type {any} */ task) => {
    const final = FINAL.includes(task.status);
    status.textContent = task.status;
    status.className = `status is-${task.status}`;
    polls.textContent = polled(task.polls);
    bar.setAttribute("value", String(task.progress));
    bar.hidden = final;
    for (const choice of change.querySelectorAll("[data-open]")) /** @type {HTMLElement} */ (choice).hidden = final;
  };
  for (const group of change.querySelectorAll("optgroup, option[value*=processing]")) group.setAttribute("data-open", "");
  return { element, update };
}

/** What can be done with a task; the values are the details of the action.
 * @param {any} api
 */
function changes(api) {
  const choice = (/** @type {object} */ details, /** @type {string} */ words) =>
    /** @type {[string, string]} */ ([JSON.stringify(details), words]);
  return [
    choice({ to: "processing" }, "Begin to generate"),
    { label: "Complete with", choices: api.clips.map((/** @type {string} */ clip) => choice({ to: "completed", clip }, clip)) },
    { label: "Fail with", choices: api.reasons.map((/** @type {string} */ reason) => choice({ to: "failed", reason }, reason)) },
    choice({ to: "forgotten" }, "Remove from the API"),
  ];
}

/** @param {number} times */
function polled(times) {
  if (times === 0) return "no poll yet";
  return times === 1 ? "1 poll" : `${times} polls`;
}
