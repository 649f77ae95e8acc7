// @ts-check
// The languages that a person or a server can have in this demo, and the texts that the bot registered in them.

/** @type {[string, string][]} locale and name */
export const LANGUAGES = [
  ["en-US", "English"],
  ["zh-CN", "简体中文"],
];

/** A name or description of a command or option, in this language if the bot registered it.
 * @param {any} part @param {"name" | "description"} field @param {string} locale @returns {string}
 */
export function localised(part, field, locale) {
  return part[`${field}_localizations`]?.[locale] ?? part[field];
}
