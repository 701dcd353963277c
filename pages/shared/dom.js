// Elements, made and filled without markup: whatever comes from outside becomes text, never tags.

/** element("p", {class: "soft", title: "…", onclick: f}, "text", child, …); null and false are left out. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, ...children);
}

/** The same for drawings. */
export function drawing(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, ...children);
}

function fill(made, attributes, ...children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(made.style, value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    made.append(child instanceof Node ? child : String(child));
  }
  return made;
}

/** The element with this id: a page that lacks one is our own mistake. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Sets a text only where it differs: thousands of counters tick each second. */
export function setText(target, text) {
  const next = String(text);
  if (target.firstChild?.nodeType === Node.TEXT_NODE && !target.firstChild.nextSibling) {
    if (target.firstChild.data !== next) target.firstChild.data = next;
  } else {
    target.textContent = next;
  }
}

export function setAttribute(target, name, value) {
  if (value === null || value === undefined || value === false) {
    if (target.hasAttribute(name)) target.removeAttribute(name);
  } else if (target.getAttribute(name) !== String(value)) {
    target.setAttribute(name, value);
  }
}

/** Control and direction characters, which can make a name read as another one, become visible. */
export function plain(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}
