// @ts-check
// The theme, and the two side panels: beside the chat on wide screens, drawers on narrow ones.

import { byId } from "./dom.js";
import { icon } from "./icons.js";

const THEME = "veo-courier-theme";
const INSPECTOR = "veo-courier-inspector";
const NARROW = matchMedia("(max-width: 760px)");
const MEDIUM = matchMedia("(max-width: 1100px)");

export function switchTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const show = () => {
    button.replaceChildren(icon(isDark() ? "sun" : "moon"));
    button.title = isDark() ? "Light theme" : "Dark theme";
    button.setAttribute("aria-label", button.title);
  };
  const kept = localStorage.getItem(THEME);
  if (kept) root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem(THEME, root.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();
}

/** Set up the side panels. Returns a function that closes those that cover the chat. */
export function switchPanels() {
  const app = byId("app");
  const places = byId("open-places");
  const inspector = byId("open-inspector");
  const shade = byId("shade");
  labelButton(places, "menu", "Servers and channels");
  labelButton(inspector, "inspector", "Behind the scenes");
  inspector.title = "Behind the scenes";

  const show = () => {
    const drawer = (app.classList.contains("places-open") && NARROW.matches) || (app.classList.contains("inspector-open") && MEDIUM.matches);
    shade.hidden = !drawer;
    places.setAttribute("aria-expanded", String(app.classList.contains("places-open")));
    inspector.setAttribute("aria-expanded", String(app.classList.contains("inspector-open")));
  };
  const close = () => {
    app.classList.remove("places-open");
    if (MEDIUM.matches) app.classList.remove("inspector-open");
    show();
  };
  places.addEventListener("click", () => {
    app.classList.toggle("places-open");
    show();
    byId("servers").querySelector("button")?.focus();
  });
  inspector.addEventListener("click", () => {
    app.classList.toggle("inspector-open");
    if (!MEDIUM.matches) localStorage.setItem(INSPECTOR, app.classList.contains("inspector-open") ? "open" : "folded");
    show();
  });
  shade.addEventListener("click", close);
  closeOnEscape(shade, () => {
    const opener = app.classList.contains("places-open") ? places : inspector;
    close();
    opener.focus();
  });
  const fit = () => {
    app.classList.toggle("inspector-open", !MEDIUM.matches && localStorage.getItem(INSPECTOR) !== "folded");
    app.classList.remove("places-open");
    show();
  };
  MEDIUM.addEventListener("change", fit);
  NARROW.addEventListener("change", fit);
  fit();
  return close;
}

/** @param {HTMLElement} button @param {"menu" | "inspector"} iconName @param {string} label */
function labelButton(button, iconName, label) {
  button.append(icon(iconName));
  button.setAttribute("aria-label", label);
}

/** @param {HTMLElement} shade visible while a drawer covers the chat @param {() => void} close */
function closeOnEscape(shade, close) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !shade.hidden) close();
  });
}
