// @ts-check
// The message box: ordinary messages, and commands with their options as the bot registered them.

import { byId, h } from "../dom.js";
import { icon } from "../icons.js";
import { matching, problem, read, sent, typable } from "./command_line.js";
import { coloured } from "./colours.js";
import { Suggestions } from "./suggestions.js";

// Milliseconds without typing before the bot is asked for choices.
const TYPING_PAUSE = 120;

export class Composer {
  /**
   * @param {import("../store.js").Store} store
   * @param {import("../actions.js").ChatActions} actions
   */
  constructor(store, actions) {
    this._store = store;
    this._actions = actions;
    this._latestQuery = 0;
    this._text = /** @type {HTMLTextAreaElement} */ (
      h("textarea", {
        id: "composer-text",
        rows: "1",
        "aria-autocomplete": "list",
        "aria-controls": "suggestions",
        "aria-describedby": "composer-problem",
        spellcheck: "false",
        autocomplete: "off",
      })
    );
    this._mirror = h("div", { class: "mirror", "aria-hidden": "true" });
    this._problem = h("div", { id: "composer-problem", class: "problem", role: "alert" });
    this._suggestions = new Suggestions(this._text);
    const send = h(
      "button",
      { class: "icon-button send", type: "button", "aria-label": "Send", title: "Send", onclick: () => this._enter() },
      icon("send"),
    );
    byId("composer").append(
      this._suggestions.element,
      this._problem,
      h("div", { class: "box" }, h("div", { class: "field" }, this._mirror, this._text), send),
    );
    this._text.addEventListener("input", () => this._changed());
    this._text.addEventListener("keydown", (event) => this._keys(event));
    this._text.addEventListener("scroll", () => (this._mirror.scrollTop = this._text.scrollTop));
    document.addEventListener("selectionchange", () => this._moved());
    store.on("channel places", () => this._place());
    store.on("commands", () => this._changed());
  }

  /** @param {string} text */
  set(text) {
    this._text.value = text;
    this._text.focus();
    this._text.setSelectionRange(text.length, text.length);
    this._changed();
  }

  focus() {
    this._text.focus();
  }

  _place() {
    const channel = this._store.channel;
    const may = Boolean(channel?.rights[this._store.me]?.send);
    this._text.disabled = !may;
    this._text.placeholder = may ? `Message #${channel?.name}, or / for commands` : readOnly(channel);
    this._text.setAttribute("aria-label", may ? `Message #${channel?.name ?? ""}, or a command with /` : readOnly(channel));
  }

  _commands() {
    return typable(this._store.commands, this._store.guild?.id ?? "", this._store.locale);
  }

  _invocation() {
    return read(this._text.value, this._text.selectionStart, this._commands());
  }

  // --- typing

  _changed() {
    this._problem.textContent = "";
    this._mirror.replaceChildren(...coloured(this._text.value, this._invocation()));
    this._grow();
    this._suggest();
  }

  _moved() {
    if (document.activeElement === this._text && this._lastCaret !== this._text.selectionStart) this._suggest();
  }

  _grow() {
    this._text.style.height = "auto";
    this._text.style.height = `${this._text.scrollHeight}px`;
  }

  _suggest() {
    this._lastCaret = this._text.selectionStart;
    const query = ++this._latestQuery;
    const text = this._text.value;
    if (!text.startsWith("/")) {
      this._suggestions.close();
      return;
    }
    const invocation = this._invocation();
    if (invocation === null) this._suggestCommands(text);
    else if (invocation.focused?.autocomplete) this._suggestAnswers(invocation, query);
    else this._suggestOptions(invocation);
  }

  /** @param {string} text */
  _suggestCommands(text) {
    const found = matching(text, this._commands()).map((command) => ({
      title: `/${command.line}`,
      detail: command.description,
      kind: /** @type {const} */ ("command"),
      ready: !command.options.some((option) => option.required),
      insert: () => this.set(`/${command.line} ${firstOption(command)}`),
    }));
    this._suggestions.show(found.length > 0 ? "Commands of veo-courier" : "No such command here", found, true);
  }

  /** @param {import("./command_line.js").Invocation} invocation */
  _suggestOptions(invocation) {
    const { command, given, focused } = invocation;
    const choices = focused?.choices ?? [];
    if (focused && choices.length > 0) {
      this._suggestions.show(described(focused), choices.map((choice) => this._choice(focused, choice)), true);
      return;
    }
    const rest = command.options.filter((option) => !given[option.name] || option === focused);
    const rows = rest.map((option) => ({
      title: option.name,
      detail: option.description,
      mark: option.required ? "required" : "optional",
      kind: /** @type {const} */ ("option"),
      insert: () => this._insertOption(option.name),
    }));
    this._suggestions.show(`/${command.line} — ${command.description}`, rows, false);
  }

  /** @param {import("./command_line.js").Invocation} invocation @param {number} query */
  async _suggestAnswers(invocation, query) {
    const option = /** @type {import("./command_line.js").Option} */ (invocation.focused);
    if (!this._suggestions.open) this._suggestions.show(described(option), [], false);
    await new Promise((resolve) => setTimeout(resolve, TYPING_PAUSE));
    if (query !== this._latestQuery) return;
    const texts = Object.fromEntries(Object.entries(invocation.given).map(([name, { value }]) => [name, value]));
    const answer = await this._actions.autocomplete(invocation.command.line, option.name, texts);
    if (query !== this._latestQuery) return;
    const typed = invocation.given[option.name]?.value ?? "";
    if (answer === null) this._suggestions.show("Loading options failed", [], false);
    else if (answer.length === 0) this._suggestions.show(`${described(option)} — no options match your search`, [], false);
    else {
      const rows = answer.map((/** @type {any} */ choice) => this._choice(option, choice));
      const done = answer.some((/** @type {any} */ choice) => choice.value === typed);
      this._suggestions.show(described(option), rows, !done);
    }
  }

  /** @param {import("./command_line.js").Option} option @param {{name: string, value: any}} choice */
  _choice(option, choice) {
    const insert = () => this._insertValue(option.name, String(choice.value));
    return { title: choice.name, detail: "", kind: /** @type {const} */ ("choice"), insert };
  }

  /** @param {string} name */
  _insertOption(name) {
    const at = this._invocation()?.given[name];
    if (at?.named) this._text.setSelectionRange(at.end, at.end);
    else this.set(`${this._text.value.trimEnd()} ${name}:`);
  }

  /** @param {string} name @param {string} value */
  _insertValue(name, value) {
    const at = this._invocation()?.given[name];
    if (!at) return;
    const text = this._text.value;
    const rest = text.slice(at.end);
    this.set(`${text.slice(0, at.start)}${at.named ? "" : ` ${name}:`}${value}${rest ? ` ${rest}` : ""}`);
  }

  // --- keys

  /** @param {KeyboardEvent} event */
  _keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this._enter();
    } else if (step && this._suggestions.open) {
      event.preventDefault();
      this._suggestions.move(step);
    } else if (event.key === "Tab" && !event.shiftKey && this._text.value.startsWith("/")) {
      this._tab(event);
    } else if (event.key === "Escape" && this._suggestions.open) {
      event.preventDefault();
      this._suggestions.close();
    } else if (event.key === "ArrowUp" && this._text.value === "") {
      const last = /** @type {HTMLElement | null} */ (document.querySelector(".message[tabindex='0']"));
      last?.focus();
    }
  }

  /** Tab takes a suggestion; without one it moves the focus as usual.
   * @param {KeyboardEvent} event
   */
  _tab(event) {
    if (!this._suggestions.open) return;
    if (!this._suggestions.active) this._suggestions.move(1);
    const active = this._suggestions.active;
    if (!active || this._invocation()?.focused?.name === active.title) return;
    event.preventDefault();
    active.insert();
  }

  _enter() {
    const active = this._suggestions.open ? this._suggestions.active : undefined;
    const isWhole = active?.ready && active.title === this._text.value.trim();
    if (active && !isWhole) active.insert();
    else if (this._text.value.startsWith("/")) this._run();
    else this._say();
  }

  async _say() {
    const text = this._text.value.trim();
    if (!text) return;
    this.set("");
    const refused = await this._actions.say(text);
    if (refused) this._refuse(text, refused);
  }

  async _run() {
    // With a blank at the end, so that a complete command name need not be followed by one.
    const invocation = read(`${this._text.value} `, this._text.selectionStart, this._commands());
    if (invocation === null) {
      this._problem.textContent = "There is no such command. Type / to see those that there are.";
      return;
    }
    const wrong = problem(invocation);
    if (wrong) {
      this._problem.textContent = `${wrong.option}: ${wrong.problem}`;
      if (!invocation.given[wrong.option]) this.set(`${this._text.value.trimEnd()} ${wrong.option}:`);
      this._problem.textContent = `${wrong.option}: ${wrong.problem}`;
      return;
    }
    const text = this._text.value;
    this.set("");
    this._suggestions.close();
    const refused = await this._actions.slash(invocation.command.line, sent(invocation));
    if (refused) this._refuse(text, refused);
  }

  /** Show why it was refused, and restore the text unless something new was typed.
   * @param {string} text @param {string} why
   */
  _refuse(text, why) {
    if (!this._text.value) this.set(text);
    this._suggestions.close();
    this._problem.textContent = why;
  }
}

/** @param {import("../store.js").Channel | undefined} channel */
function readOnly(channel) {
  return channel?.kind === "dm" ? "veo-courier writes to you here" : "You cannot write in this channel";
}

/** @param {import("./command_line.js").Command} command */
function firstOption(command) {
  const first = command.options[0];
  return first ? `${first.name}:` : "";
}

/** @param {import("./command_line.js").Option} option */
function described(option) {
  return `${option.name} — ${option.description}`;
}
