// @ts-check
// The messages of the current channel, kept up to date with the store, and their scrolling.

import { byId, drawnNow, h } from "../dom.js";
import { clock } from "../time.js";
import { isGrouped, messageElement } from "./message.js";

/** @typedef {import("../store.js").Message} Message */

// Pixels from the end within which the list follows new messages.
const NEAR_END = 60;
const FLASH = 1600; // milliseconds
// Milliseconds after a wheel, touch or key within which a scroll is the person's.
const BY_PERSON = 1000;

export class MessageList {
  /** @param {import("../store.js").Store} store @param {import("./message.js").MessageActions} actions */
  constructor(store, actions) {
    this._store = store;
    this._actions = actions;
    this._list = byId("messages");
    this._scroller = byId("scroller");
    this._latest = byId("to-latest");
    this._stuck = true;
    this._touchedAt = -Infinity;
    this._lastTop = 0;
    for (const event of ["wheel", "touchmove", "pointerdown", "pointermove", "keydown"]) {
      this._scroller.addEventListener(event, (each) => this._touched(each), { passive: true });
    }
    store.on("channel", () => this._drawAll());
    store.on("message", ({ message }) => this._draw(message));
    store.on("removed", (id) => this._remove(id));
    this._scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
    this._latest.addEventListener("click", () => this.toEnd());
    // Videos and pictures get their height later; a list at its end stays there.
    const follow = new ResizeObserver(() => this._stuck && !this._isScrolledByPerson && this.toEnd());
    for (const resized of [this._list, this._scroller]) follow.observe(resized);
    // What is pressed is drawn anew after the click, which would else find its button gone.
    this._isPressed = false;
    /** @type {Map<string, Message>} */
    this._waiting = new Map();
    this._list.addEventListener("pointerdown", () => (this._isPressed = true));
    for (const event of ["pointerup", "pointercancel"]) addEventListener(event, () => setTimeout(() => this._released()));
    this._list.addEventListener("keydown", (event) => this._keys(event));
    this._list.addEventListener("contextmenu", (event) => this._menu(event));
  }

  toEnd() {
    this._stuck = true;
    this._latest.hidden = true;
    this._scroller.scrollTop = this._scroller.scrollHeight;
  }

  /** Scroll to a message and mark it. Returns whether it is there.
   * @param {string} id
   */
  show(id) {
    const element = document.getElementById(`m-${id}`);
    if (!element) return false;
    this._stuck = false;
    element.scrollIntoView({ block: "center" });
    element.focus({ preventScroll: true });
    element.classList.add("flash");
    setTimeout(() => element.classList.remove("flash"), FLASH);
    return true;
  }

  /** Show a failure below the message whose button did not work.
   * @param {string} id @param {string} text
   */
  fail(id, text) {
    const place = document.querySelector(`#m-${id} .failure`);
    if (place) place.textContent = text;
  }

  /** Append a line that is no message, such as a command without an answer.
   * @param {HTMLElement} element
   */
  note(element) {
    this._list.append(element);
    this.toEnd();
  }

  _drawAll() {
    /** @type {Message | undefined} */
    let before;
    const drawn = [];
    for (const message of this._store.messages(this._store.channelId)) {
      if (isNewDay(message, before)) drawn.push(divider(message));
      drawn.push(this._element(message, before));
      before = message;
    }
    this._list.replaceChildren(...drawn);
    this._updateTabStop();
    this.toEnd();
  }

  /** @param {Message} message */
  _draw(message) {
    if (message.channel_id !== this._store.channelId || !this._store.shows(message)) return;
    const old = document.getElementById(`m-${message.id}`);
    if (old && this._isPressed) {
      this._waiting.set(message.id, message);
    } else if (old) {
      this._redraw(message, old);
    } else {
      const last = this._lastMessage();
      if (isNewDay(message, last)) this._list.append(divider(message));
      this._list.append(this._element(message, last));
      if (this._stuck) this.toEnd();
      else this._latest.hidden = false;
    }
    this._updateTabStop();
  }

  _released() {
    this._isPressed = false;
    for (const [id, message] of this._waiting) if (document.getElementById(`m-${id}`)) this._draw(message);
    this._waiting.clear();
  }

  /** Draw a message anew. A playing video goes on, and the focus stays where it is.
   * @param {Message} message @param {HTMLElement} old
   */
  _redraw(message, old) {
    const fresh = this._element(message, this._message(before(old)));
    const focused = old.contains(document.activeElement) && document.activeElement;
    keepPlaying(old, fresh);
    // With its height, because the list would be shorter for a moment, and scroll.
    fresh.style.containIntrinsicSize = `auto ${old.offsetHeight}px`;
    old.replaceWith(fresh);
    if (focused) drawnNow(focused)?.focus({ preventScroll: true });
  }

  /** @param {string} id */
  _remove(id) {
    const element = document.getElementById(`m-${id}`);
    if (!element) return;
    const next = /** @type {HTMLElement | null} */ (element.nextElementSibling);
    const focused = element.contains(document.activeElement);
    element.remove();
    const message = this._message(next);
    if (next && message) this._redraw(message, next);
    if (focused) byId("composer-text").focus();
    this._updateTabStop();
  }

  /** @param {Message} message @param {Message | undefined} earlier */
  _element(message, earlier) {
    const grouped = !isNewDay(message, earlier) && isGrouped(message, earlier);
    return messageElement(message, grouped, this._store, this._actions);
  }

  /** @param {Element | null | undefined} element */
  _message(element) {
    const id = /** @type {HTMLElement | null | undefined} */ (element)?.dataset.id;
    return id ? this._store.findMessage(id) : undefined;
  }

  /** The newest message in the list; a line that is no message may follow it. */
  _lastMessage() {
    const last = this._list.lastElementChild;
    return this._message(last) ?? this._message(before(last));
  }

  /** A person may be scrolling.
   * @param {Event} event
   */
  _touched(event) {
    if (event.type === "pointermove" && /** @type {PointerEvent} */ (event).buttons === 0) return;
    this._touchedAt = performance.now();
  }

  get _isScrolledByPerson() {
    return performance.now() - this._touchedAt < BY_PERSON;
  }

  _scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    // The list also scrolls when messages get their height; only a person leaves the end.
    const isUpwards = scrollTop < this._lastTop;
    const isNearEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this._lastTop = scrollTop;
    if (this._isScrolledByPerson) this._stuck = isNearEnd && !isUpwards;
    else if (isNearEnd) this._stuck = true;
    if (this._stuck) this._latest.hidden = true;
  }

  // --- keyboard: Tab reaches the list once, arrows move inside it

  _updateTabStop() {
    const reachable = this._list.querySelector(".message[tabindex='0']");
    let last = this._list.lastElementChild;
    while (last && !last.classList.contains("message")) last = last.previousElementSibling;
    if (reachable === last) return;
    reachable?.setAttribute("tabindex", "-1");
    last?.setAttribute("tabindex", "0");
  }

  /** @param {KeyboardEvent} event */
  _keys(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!target.classList.contains("message")) return;
    const messages = [...this._list.querySelectorAll(".message")];
    const at = messages.indexOf(target);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: messages.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      /** @type {HTMLElement | undefined} */ (messages[to])?.focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this._openMenu(target);
    }
  }

  /** @param {MouseEvent} event */
  _menu(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const element = target.closest(".message");
    // Links, videos and selected text keep the browser's own menu.
    if (!element || target.closest("a, video") || String(getSelection())) return;
    event.preventDefault();
    this._openMenu(element);
  }

  /** @param {Element} element */
  _openMenu(element) {
    const message = this._message(element);
    if (message) this._actions.menu(message, element.querySelector(".tools button") ?? element);
  }
}

/** @param {Element | null} element */
function before(element) {
  let each = element?.previousElementSibling;
  while (each && !each.classList.contains("message")) each = each.previousElementSibling;
  return each;
}

/** @param {Message} message @param {Message | undefined} earlier */
function isNewDay(message, earlier) {
  return new Date(message.timestamp).toDateString() !== (earlier && new Date(earlier.timestamp).toDateString());
}

/** @param {Message} message */
function divider(message) {
  return h("li", { class: "divider" }, h("span", {}, clock(Date.parse(message.timestamp), "D")));
}

/** Move players to the new message, because an edit must not stop a playing video.
 * @param {Element} old @param {Element} fresh
 */
function keepPlaying(old, fresh) {
  const source = (/** @type {Element} */ player) => player.querySelector("video")?.getAttribute("src");
  for (const player of fresh.querySelectorAll(".player")) {
    const same = [...old.querySelectorAll(".player")].find((each) => source(each) === source(player));
    if (same) player.replaceWith(same);
  }
}
