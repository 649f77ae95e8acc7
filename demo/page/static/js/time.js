// @ts-check
// Formats times in the person's language; relative ones are updated every second.

import { h } from "./dom.js";

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
/** @type {Record<string, Intl.DateTimeFormatOptions>} */
const STYLES = {
  t: { hour: "2-digit", minute: "2-digit" },
  T: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  d: { year: "numeric", month: "2-digit", day: "2-digit" },
  D: { year: "numeric", month: "long", day: "numeric" },
  f: { year: "numeric", month: "long", day: "numeric", hour: "2-digit", minute: "2-digit" },
  F: { weekday: "long", year: "numeric", month: "long", day: "numeric", hour: "2-digit", minute: "2-digit" },
  s: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" },
  S: { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" },
};

/** The calendar of each language that differs from its locale: English with 24 hours. */
const CALENDARS = /** @type {Record<string, string>} */ ({ "en-US": "en-GB" });

let language = "en-US";
let formats = formatsIn(language);

/** The formats of a language, made once, because making one takes longer than using it a hundred times.
 * @param {string} locale
 */
function formatsIn(locale) {
  const calendar = CALENDARS[locale] ?? locale;
  const styles = Object.entries(STYLES).map(([style, parts]) => [style, new Intl.DateTimeFormat(calendar, parts)]);
  return { styles: Object.fromEntries(styles), relative: new Intl.RelativeTimeFormat(calendar, { numeric: "always" }) };
}

/** Set the language of all times. Returns whether it is another one than before.
 * @param {string} locale
 */
export function setLanguage(locale) {
  if (locale === language) return false;
  language = locale;
  formats = formatsIn(locale);
  return true;
}

/** @param {number} milliseconds @param {string} style @returns {string} */
export function clock(milliseconds, style) {
  return formats.styles[style].format(milliseconds);
}

/** "2 minutes ago", "in 4 minutes".
 * @param {number} milliseconds
 */
export function relative(milliseconds) {
  const seconds = Math.round((milliseconds - Date.now()) / 1000);
  const [unit, length] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? ["second", 1];
  return formats.relative.format(Math.trunc(seconds / length), unit);
}

/** The element for <t:…>, or null for a date beyond the calendar.
 * @param {number} seconds @param {string} style
 * @returns {HTMLElement | null}
 */
export function timeElement(seconds, style) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const attributes = { class: "moment", datetime: date.toISOString(), title: clock(date.getTime(), "F") };
  if (style !== "R") return h("time", attributes, clock(date.getTime(), style));
  return h("time", { ...attributes, "data-at": date.getTime() }, relative(date.getTime()));
}

/** Update every relative time on the page, once a second. */
export function updateRelativeTimes() {
  setInterval(() => {
    for (const element of document.querySelectorAll("time[data-at]")) {
      const text = relative(Number(/** @type {HTMLElement} */ (element).dataset.at));
      if (element.textContent !== text) element.textContent = text;
    }
  }, 1000);
}
