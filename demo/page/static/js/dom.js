// @ts-check
// Builds elements. Text always becomes text nodes; nothing is parsed as markup.

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, unknown>} Attributes
 */

/**
 * An element. Attributes that are false, null or undefined are left out; functions listen to "onclick" etc.
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  return fill(element, ...children);
}

/**
 * @template {Node} T
 * @param {T} parent
 * @param {...(Child | Child[])} children
 * @returns {T}
 */
export function fill(parent, ...children) {
  for (const child of children.flat()) {
    if (child instanceof Node) parent.appendChild(child);
    else if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(document.createTextNode(String(child)));
    }
  }
  return parent;
}

/**
 * The element with this id in index.html.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found;
}

/**
 * The element itself, or what was drawn in its place: the control of the same name in the element with the same id,
 * else that element. Null when neither is in the page.
 * @param {Element} element
 * @returns {HTMLElement | null}
 */
export function drawnNow(element) {
  if (element.isConnected) return /** @type {HTMLElement} */ (element);
  const fresh = document.getElementById(element.closest("[id]")?.id ?? "");
  const name = controlName(element);
  const controls = /** @type {HTMLElement[]} */ ([...(fresh?.querySelectorAll("button:not(:disabled), a") ?? [])]);
  return (name && controls.find((each) => controlName(each) === name)) || fresh;
}

/** What a control keeps when it is drawn anew: labels change, such as a count.
 * @param {Element} control
 */
function controlName(control) {
  return ["data-custom-id", "aria-label", "href"].map((name) => control.getAttribute(name)).find(Boolean);
}

/**
 * Replace an element's content, changing only what differs, so that focus, selection and a pressed button survive.
 * The content must have no listeners, because elements are reused.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function refill(element, ...children) {
  const fresh = element.cloneNode(false);
  fill(fresh, ...children);
  patchChildren(element, fresh);
}

/** @param {Node} old @param {Node} fresh */
function patchChildren(old, fresh) {
  const wanted = [...fresh.childNodes];
  wanted.forEach((child, at) => {
    const there = old.childNodes[at];
    if (!there) old.appendChild(child);
    else if (!there.isEqualNode(child)) patch(there, child);
  });
  while (old.childNodes.length > wanted.length) old.lastChild?.remove();
}

/** @param {ChildNode} old @param {ChildNode} fresh */
function patch(old, fresh) {
  if (!(old instanceof Element) || !(fresh instanceof Element) || old.tagName !== fresh.tagName) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  patchChildren(old, fresh);
}
