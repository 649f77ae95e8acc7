// @ts-check
// Light or dark, and the two side panels: beside the chat where there is room, drawers where there is not.

import { byId } from "./dom.js";
import { icon } from "./icons.js";

const THEME = "veo-courier-theme";
const GLASS = "veo-courier-glass";
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

/** The drawers; returns a function that closes them where they cover the chat. */
export function switchPanels() {
  const app = byId("app");
  const places = byId("open-places");
  const glass = byId("open-glass");
  const shade = byId("shade");
  places.append(icon("menu"));
  places.setAttribute("aria-label", "Servers and channels");
  glass.append(icon("glass"));
  glass.setAttribute("aria-label", "The other side of the glass");
  glass.title = "The other side of the glass";

  const show = () => {
    const drawer = (app.classList.contains("places-open") && NARROW.matches) || (app.classList.contains("glass-open") && MEDIUM.matches);
    shade.hidden = !drawer;
    places.setAttribute("aria-expanded", String(app.classList.contains("places-open")));
    glass.setAttribute("aria-expanded", String(app.classList.contains("glass-open")));
  };
  const close = () => {
    app.classList.remove("places-open");
    if (MEDIUM.matches) app.classList.remove("glass-open");
    show();
  };
  places.addEventListener("click", () => {
    app.classList.toggle("places-open");
    show();
    byId("servers").querySelector("button")?.focus();
  });
  glass.addEventListener("click", () => {
    app.classList.toggle("glass-open");
    if (!MEDIUM.matches) localStorage.setItem(GLASS, app.classList.contains("glass-open") ? "open" : "folded");
    show();
  });
  shade.addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || shade.hidden) return;
    const back = app.classList.contains("places-open") ? places : glass;
    close();
    back.focus();
  });
  const fit = () => {
    app.classList.toggle("glass-open", !MEDIUM.matches && localStorage.getItem(GLASS) !== "folded");
    app.classList.remove("places-open");
    show();
  };
  MEDIUM.addEventListener("change", fit);
  NARROW.addEventListener("change", fit);
  fit();
  return close;
}
