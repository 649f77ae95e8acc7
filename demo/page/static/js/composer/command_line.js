// @ts-check
// Parses the typed text as a command line: command, options, and the option at the caret. No elements.

import { localised } from "../language.js";

/**
 * @typedef {{name: string, description: string, type: number, required?: boolean, autocomplete?: boolean,
 *   min_length?: number, max_length?: number, min_value?: number, max_value?: number,
 *   choices?: {name: string, value: any}[]}} Option
 * @typedef {{line: string, description: string, options: Option[]}} Command
 * @typedef {{value: string, start: number, end: number, named: boolean}} Given
 * @typedef {{command: Command, given: Record<string, Given>, focused: Option | null}} Invocation
 */

const CHAT_INPUT = 1;
const SUB = 1;
const GROUP = 2;
const INTEGER = 4;
const BOOLEAN = 5;
const NUMBER = 10;

/** Every command that can be typed, including subcommands.
 * @param {any[]} registered @param {string} guildId @param {string} locale the language of the descriptions
 * @returns {Command[]}
 */
export function typable(registered, guildId, locale) {
  return registered
    .filter((each) => each.type === CHAT_INPUT && (!each.guild_id || each.guild_id === guildId))
    .flatMap((each) => flattened(each, "", locale));
}

/** @param {any} part @param {string} prefix @param {string} locale @returns {Command[]} */
function flattened(part, prefix, locale) {
  const line = prefix + part.name;
  const inner = (part.options ?? []).filter((/** @type {any} */ each) => each.type === SUB || each.type === GROUP);
  if (inner.length > 0) return inner.flatMap((/** @type {any} */ each) => flattened(each, `${line} `, locale));
  const options = (part.options ?? []).map((/** @type {any} */ each) => ({ ...each, description: localised(each, "description", locale) }));
  return [{ line, description: localised(part, "description", locale), options }];
}

/** The commands that match the text after the slash.
 * @param {string} text @param {Command[]} commands
 */
export function matching(text, commands) {
  const typed = text.slice(1).trim().toLowerCase();
  return commands.filter((each) => each.line.startsWith(typed) || each.line.includes(` ${typed}`));
}

/** @param {string} text @param {number} caret @param {Command[]} commands @returns {Invocation | null} */
export function read(text, caret, commands) {
  const found = commands
    .filter((each) => text.startsWith(`/${each.line}`) && /^\s/.test(text.slice(each.line.length + 1)))
    .sort((one, other) => other.line.length - one.line.length)[0];
  if (!found) return null;
  const given = values(text, found);
  const focused = found.options.find((option) => {
    const at = given[option.name];
    return at && at.start <= caret && caret <= at.end;
  });
  return { command: found, given, focused: focused ?? null };
}

/** @param {string} text @param {Command} command @returns {Record<string, Given>} */
function values(text, command) {
  const begin = command.line.length + 1;
  const names = command.options.map((option) => option.name);
  /** @type {Record<string, Given>} */
  const given = {};
  if (names.length === 0) return given;
  const marks = [...text.slice(begin).matchAll(new RegExp(`(?<=\\s)(${names.join("|")}):`, "g"))];
  const first = marks.length > 0 ? begin + marks[0].index : text.length;
  // As in Discord, text without an option's name is the first option's value.
  const loose = text.slice(begin, first);
  if (loose.trim()) given[names[0]] = { value: loose.trim(), start: begin, end: first, named: false };
  marks.forEach((mark, index) => {
    const start = begin + mark.index + mark[0].length;
    const end = index + 1 < marks.length ? begin + marks[index + 1].index : text.length;
    given[mark[1]] = { value: text.slice(start, end).trim(), start, end, named: true };
  });
  return given;
}

/** Why a client would not send this, in Discord's words; null when it would.
 * @param {Invocation} invocation @returns {{option: string, problem: string} | null}
 */
export function problem({ command, given }) {
  for (const option of command.options) {
    const value = given[option.name]?.value ?? "";
    const found = value === "" ? missing(option) : wrong(option, value);
    if (found) return { option: option.name, problem: found };
  }
  return null;
}

/** @param {Option} option */
function missing(option) {
  return option.required ? "This option is required. Specify a value." : null;
}

/** @param {Option} option @param {string} value */
function wrong(option, value) {
  if (option.choices?.length && !option.choices.some((choice) => choice.name === value || String(choice.value) === value)) {
    return "Choose one of the values in the list.";
  }
  if (option.type === INTEGER || option.type === NUMBER) return wrongNumber(option, Number(value));
  if (option.type === BOOLEAN && !/^(true|false)$/i.test(value)) return "Enter True or False.";
  if (value.length > (option.max_length ?? 6000)) return `Must be ${option.max_length ?? 6000} or fewer in length.`;
  return value.length < (option.min_length ?? 0) ? `Must be ${option.min_length} or more in length.` : null;
}

/** @param {Option} option @param {number} number */
function wrongNumber(option, number) {
  if (Number.isNaN(number) || (option.type === INTEGER && !Number.isInteger(number))) return "Enter a valid number.";
  if (number < (option.min_value ?? -Infinity)) return `Must be ${option.min_value} or more.`;
  return number > (option.max_value ?? Infinity) ? `Must be ${option.max_value} or less.` : null;
}

/** The options to send: those with a value, each converted to its type.
 * @param {Invocation} invocation
 */
export function sent({ command, given }) {
  /** @type {Record<string, unknown>} */
  const options = {};
  for (const option of command.options) {
    const value = given[option.name]?.value;
    if (value) options[option.name] = typed(option, value);
  }
  return options;
}

/** @param {Option} option @param {string} value */
function typed(option, value) {
  const choice = option.choices?.find((each) => each.name === value || String(each.value) === value);
  if (choice) return choice.value;
  if (option.type === INTEGER || option.type === NUMBER) return Number(value);
  return option.type === BOOLEAN ? value.toLowerCase() === "true" : value;
}
