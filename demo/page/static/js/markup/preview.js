// @ts-check
// A message as one line of plain text, for replies and screen readers.

const TEXT = 10;
const MAX_LENGTH = 120;

/** @param {any} message @param {(id: string) => string | undefined} userName @returns {string} */
export function preview(message, userName) {
  const files = (message.attachments ?? []).map((/** @type {any} */ file) => file.filename);
  const whole = plain([message.content, ...texts(message.components ?? []), ...files].filter(Boolean).join("\n"), userName);
  return whole.length > MAX_LENGTH ? `${whole.slice(0, MAX_LENGTH)}…` : whole;
}

/** All text of a message, with its markup, as "Copy text" gives it.
 * @param {any} message @returns {string}
 */
export function wholeText(message) {
  return [message.content, ...texts(message.components ?? [])].filter(Boolean).join("\n");
}

/** The text displays among these components, at any depth.
 * @param {any[]} components @returns {string[]}
 */
function texts(components) {
  return components.flatMap((part) => (part.type === TEXT ? [part.content] : texts(part.components ?? [])));
}

/** @param {string} text @param {(id: string) => string | undefined} userName */
function plain(text, userName) {
  return text
    .replace(/<t:\d+(:\w)?>/g, "…")
    .replace(/<@!?(\d+)>/g, (_, id) => `@${userName(id) ?? "unknown-user"}`)
    .replace(/\[([^\]]+)\]\(<?https?:[^)]*\)/g, "$1")
    .replace(/^(#{1,3}|-#|[-*>]) +/gm, "")
    .replace(/[*~`|\\]|__/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
