// @ts-check
// The page's own icons, drawn with strokes on a grid of 24.

const SVG = "http://www.w3.org/2000/svg";

/** @type {Record<string, string>} */
const PATHS = {
  text: "M5 9h15M4 15h15M10 4 8 20M16 4l-2 16",
  thread: "M4 5h16M4 5v14M9 12h11M9 12v7M9 19h11",
  voice: "M5 9v6h4l5 4V5L9 9zM17.5 8.5a5 5 0 0 1 0 7",
  menu: "M4 6h16M4 12h16M4 18h16",
  inspector: "M3 5h18v14H3zM14 5v14",
  sun: "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.7M17.3 17.3 19 19M5 19l1.7-1.7M17.3 6.7 19 5",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
  bell: "M6 17V11a6 6 0 0 1 12 0v6l1.5 1.5h-15zM10 21h4",
  bellOff: "M6 17V11a6 6 0 0 1 9-5.2M18 11v6l1.5 1.5h-12M10 21h4M3 3l18 18",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  send: "M4 4l17 8-17 8 3-8zM7 12h7",
  eye: "M2 12s4-6.5 10-6.5S22 12 22 12s-4 6.5-10 6.5S2 12 2 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  external: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
  close: "M5 5l14 14M19 5 5 19",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 12h16",
  command: "M5 4h14v16H5zM13 8l-3 8",
  plus: "M12 5v14M5 12h14",
  at: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM16 12v1.5a2.5 2.5 0 0 0 5 0V12a9 9 0 1 0-3.6 7.2",
  mail: "M3 5.5h18v13H3zM3 7l9 6.5L21 7",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  play: "M7 4.5v15l12-7.5z",
  enter: "M20 5v7H5M9 8l-4 4 4 4",
};

/**
 * @param {keyof typeof PATHS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const svg = /** @type {SVGElement} */ (document.createElementNS(SVG, "svg"));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.appendChild(path);
  return svg;
}

/** An avatar with the name's first letter; the colour depends on the name.
 * @param {string} name
 * @param {boolean} isBot
 * @returns {SVGElement}
 */
export function face(name, isBot) {
  const svg = /** @type {SVGElement} */ (document.createElementNS(SVG, "svg"));
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("class", `face face-${isBot ? "bot" : hue(name)}`);
  svg.setAttribute("aria-hidden", "true");
  const circle = document.createElementNS(SVG, "circle");
  for (const [key, value] of Object.entries({ cx: "16", cy: "16", r: "16" })) circle.setAttribute(key, value);
  svg.append(circle, isBot ? camera() : letter(name));
  return svg;
}

/** @param {string} name */
function letter(name) {
  const text = document.createElementNS(SVG, "text");
  for (const [key, value] of Object.entries({ x: "16", y: "21.5", "text-anchor": "middle" })) {
    text.setAttribute(key, value);
  }
  text.textContent = (name[0] ?? "?").toUpperCase();
  return text;
}

function camera() {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M8 11h11a1.5 1.5 0 0 1 1.5 1.5v1.7l3.5-2v7.6l-3.5-2v1.7A1.5 1.5 0 0 1 19 21H8z");
  return path;
}

/** @param {string} name */
function hue(name) {
  return [...name].reduce((sum, letter) => (sum * 33 + letter.charCodeAt(0)) % 6000, 7) % 6;
}
