// @ts-check
// A pop-up menu: arrows move, Enter chooses, Escape closes it and restores the focus.

import { byId, drawnNow, h } from "../dom.js";
import { icon } from "../icons.js";

/** @typedef {{label: string, icon?: string, danger?: boolean, run: () => unknown}} Entry */

const GAP = 6;

/** @param {Entry[]} entries @param {Element} anchor @param {string} label */
export function openMenu(entries, anchor, label) {
  const home = document.activeElement;
  const items = entries.map((entry) => {
    const item = h(
      "button",
      { class: entry.danger ? "menu-item danger" : "menu-item", type: "button", role: "menuitem", tabindex: "-1" },
      h("span", {}, entry.label),
      entry.icon && icon(entry.icon),
    );
    item.addEventListener("click", () => {
      close();
      entry.run();
    });
    return item;
  });
  const menu = h("div", { class: "menu", role: "menu", "aria-label": label }, items);
  const close = () => {
    document.removeEventListener("pointerdown", outside, true);
    menu.remove();
    // What opened it may have been drawn anew meanwhile, or be gone.
    ((home && drawnNow(home)) ?? byId("composer-text")).focus({ preventScroll: true });
  };
  /** @param {Event} event */
  const outside = (event) => {
    if (!menu.contains(/** @type {Node} */ (event.target))) close();
  };
  menu.addEventListener("keydown", (event) => keys(event, items, close));
  document.addEventListener("pointerdown", outside, true);
  document.body.append(menu);
  place(menu, anchor.getBoundingClientRect());
  items[0]?.focus();
}

/** @param {KeyboardEvent} event @param {HTMLElement[]} items @param {() => void} close */
function keys(event, items, close) {
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    items[(at + step + items.length) % items.length].focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    close();
  }
  event.stopPropagation();
}

/** @param {HTMLElement} menu @param {DOMRect} beside */
function place(menu, beside) {
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.min(Math.max(GAP, beside.right - width), innerWidth - width - GAP);
  const below = beside.bottom + GAP;
  const top = below + height > innerHeight ? Math.max(GAP, beside.top - height - GAP) : below;
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}
