// Numbers as people read them; every short one has its exact digits beside it.

const PREFIXES = [
  [1e18, "E"],
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];
const BINARY = [
  [2 ** 50, "PiB"],
  [2 ** 40, "TiB"],
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
];
const isText = (value) => typeof value === "string";

function digits(value) {
  if (value === null) return "";
  return isText(value)
    ? value.replaceAll("**2", "²").replaceAll("**3", "³").replaceAll("*", "·")
    : value.toLocaleString("en-US");
}

function scaled(value, units, rest) {
  if (value === null) return "…";
  if (isText(value)) return digits(value);
  const size = Number(value);
  for (const [scale, unit] of units) {
    if (Math.abs(size) >= scale) return `${(size / scale).toPrecision(4)} ${unit}`;
  }
  return digits(value) + rest;
}

const short = (value) => scaled(value, PREFIXES, "");
const bytes = (value) => (isText(value) ? `${digits(value)} B` : scaled(value, BINARY, " B"));

function percent(part, whole) {
  if (part === null || whole === null || isText(part) || isText(whole) || !Number(whole)) return "";
  const share = (100 * Number(part)) / Number(whole);
  if (share === 0) return "";
  return share < 0.05 ? "< 0.1%" : `${share.toFixed(1)}%`;
}

// Text of an amount of a node: what is not counted is "?", what is partly counted "≥".
function told(node, value, format = short) {
  if (node.known) return value === 0 ? "" : format(value);
  return node.layer || value === 0 ? "?" : `≥ ${format(value)}`;
}

function build(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}
