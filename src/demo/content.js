// From what strangers wrote to nodes that can do no harm. Nothing here, or on this page, assigns innerHTML:
// foreign HTML is parsed into an inert document, and what is allowed is built anew from it.

/** Creates an element: properties first, then children (nodes or text). */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const KEPT = new Set(["p", "br", "span", "strong", "b", "em", "i", "u", "del", "s", "code", "pre", "blockquote", "ul", "ol", "li"]);
const DROPPED = new Set(["script", "style", "template", "title", "textarea", "select", "noscript", "iframe", "object", "svg", "math"]);
const DEEPEST = 40;

/** The address if it is one that a link may have, else null. */
function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Foreign HTML as a fragment of harmless nodes. `onTag(name)` is called when a hashtag is chosen. */
function sanitised(html, onTag) {
  const parsed = new DOMParser().parseFromString(String(html ?? ""), "text/html");
  const fragment = document.createDocumentFragment();
  copyHarmless(parsed.body, fragment, onTag, 0);
  return fragment;
}

function copyHarmless(from, to, onTag, depth) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) {
      to.append(node.data);
      continue;
    }
    const tag = node.nodeType === Node.ELEMENT_NODE ? node.localName : "";
    if (!tag || DROPPED.has(tag)) continue;
    if (depth >= DEEPEST) {
      to.append(node.textContent);
      continue;
    }
    const copy = tag === "a" ? harmlessLink(node, onTag) : KEPT.has(tag) ? document.createElement(tag) : null;
    // Mastodon hides parts of long addresses with these two classes; no other foreign class is kept.
    for (const name of ["invisible", "ellipsis"]) if (copy && node.classList.contains(name)) copy.classList.add(name);
    copyHarmless(node, copy ?? to, onTag, depth + 1);
    if (copy) to.append(copy);
  }
}

function harmlessLink(node, onTag) {
  const text = node.textContent.trim();
  if (node.classList.contains("hashtag") && text.startsWith("#")) {
    return make("button", { type: "button", className: "inline-tag", title: `Follow ${text}`, onclick: () => onTag(text.slice(1)) });
  }
  const href = webAddress(node.getAttribute("href"));
  if (!href) return null;
  return make("a", { href, target: "_blank", rel: "nofollow noopener noreferrer", className: node.classList.contains("mention") ? "mention" : "" });
}

const BASE83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";

function base83(text) {
  let value = 0;
  for (const character of text) {
    const digit = BASE83.indexOf(character);
    if (digit < 0) throw new RangeError("no base 83 digit");
    value = value * 83 + digit;
  }
  return value;
}

const toLinear = (byte) => (byte <= 10 ? byte / 3294.6 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
const toByte = (light) => {
  const value = Math.min(1, Math.max(0, light));
  return Math.round(255 * (value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055));
};

/** The colour components of a blurhash (https://blurha.sh) and how many of them lie side by side; throws if it is none. */
function blurComponents(hash) {
  const size = base83(hash[0] ?? "?");
  const [across, down] = [(size % 9) + 1, Math.floor(size / 9) + 1];
  if (hash.length !== 4 + 2 * across * down) throw new RangeError("a blurhash of the wrong length");
  const strongest = (base83(hash[1]) + 1) / 166;
  const mean = base83(hash.slice(2, 6));
  const components = [[mean >> 16, (mean >> 8) & 255, mean & 255].map(toLinear)];
  for (let at = 6; at < hash.length; at += 2) {
    const value = base83(hash.slice(at, at + 2));
    const steps = [Math.floor(value / 361), Math.floor(value / 19) % 19, value % 19];
    components.push(steps.map((step) => Math.sign(step - 9) * ((step - 9) / 9) ** 2 * strongest));
  }
  return { components, across };
}

/** Paints a blurhash on a small canvas, which is scaled up by its style. Returns whether it was one. */
function paintBlurhash(canvas, hash) {
  let blur;
  try {
    blur = blurComponents(String(hash ?? ""));
  } catch {
    return false;
  }
  const [width, height] = [(canvas.width = 24), (canvas.height = 18)];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const light = [0, 0, 0];
      blur.components.forEach((component, index) => {
        const basis =
          Math.cos((Math.PI * x * (index % blur.across)) / width) * Math.cos((Math.PI * y * Math.floor(index / blur.across)) / height);
        for (let channel = 0; channel < 3; channel++) light[channel] += component[channel] * basis;
      });
      image.data.set([...light.map(toByte), 255], 4 * (y * width + x));
    }
  }
  context.putImageData(image, 0, 0);
  return true;
}
