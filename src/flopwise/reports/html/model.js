// The embedded data as a tree of modules and layers, and exact sums over any of them.

const data = JSON.parse(document.getElementById("data").textContent);
const count = data.formula.length;
const text = (index) => data.texts[index];
const field = (key, index) => data.layers[key][index];

const layers = Array.from({ length: count }, (_, index) => ({
  index,
  layer: true,
  name: text(field("name", index)),
  op: text(field("op", index)),
  origin: text(field("origin", index)),
  shape: text(field("shape", index)),
  known: field("known", index) === 1,
}));
const root = tree();

function tree() {
  const top = { path: "", label: "", depth: 0, children: [], open: true, modules: new Map() };
  for (const layer of layers) {
    const scope = text(field("scope", layer.index));
    let at = top;
    for (const part of scope ? scope.split("\0") : []) {
      if (!at.modules.has(part)) {
        const path = at === top ? part : at.path + "/" + part;
        const made = {
          path,
          label: part,
          depth: at.depth + 1,
          children: [],
          modules: new Map(),
          parent: at,
        };
        at.modules.set(part, made);
        at.children.push(made);
      }
      at = at.modules.get(part);
    }
    layer.parent = at;
    layer.depth = at.depth + 1;
    layer.label = within(layer.name, at.path);
    at.children.push(layer);
  }
  folded(top);
  return top;
}

// A module that holds one layer and nothing else is that layer.
function folded(module) {
  module.children = module.children.map((child) => {
    if (child.layer) return child;
    folded(child);
    const [only, more] = child.children;
    if (more || !only.layer) return child;
    return Object.assign(only, { parent: module, depth: module.depth + 1, label: child.label });
  });
  module.leaves = module.children.flatMap((child) => (child.layer ? [child.index] : child.leaves));
  module.known = module.leaves.every((index) => layers[index].known);
}

function within(name, path) {
  const inside = [path, path.replaceAll("/", ".")].find((p) => p && name.startsWith(p));
  const rest = inside === undefined ? name : name.slice(inside.length).replace(/^[/.:]+/, "");
  return rest || name;
}

function* modules(module = root) {
  for (const child of module.children) {
    if (child.layer) continue;
    yield child;
    yield* modules(child);
  }
}

const leavesOf = (node) => (node.layer ? [node.index] : node.leaves);

// Sizes that the reader gave for symbols, as BigInts by name.
let sizes = {};
const columns = new Map();
const sums = new Map();

function setSizes(given) {
  sizes = given;
  columns.clear();
  sums.clear();
}

const unsettled = () => data.symbols.some((name) => sizes[name] === undefined);

// A number, a BigInt where a number is not exact, or the text of an expression.
function settled(amount) {
  if (typeof amount !== "string") return amount;
  if (/^-?\d+$/.test(amount)) return BigInt(amount);
  try {
    return evaluate(amount, sizes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return amount;
  }
}

// A shape with sizes in place of symbols.
function sized(shape) {
  if (!data.symbols.length || unsettled()) return shape;
  return shape.split("×").map(filledIn).join("×");
}

function filledIn(size) {
  try {
    return settled(size);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return size;
  }
}

function raw(key) {
  return key.startsWith("value:") ? data.values[Number(key.slice(6))] : data.layers[key];
}

function column(key) {
  if (!columns.has(key)) columns.set(key, raw(key).map(settled));
  return columns.get(key);
}

// The exact sum over a module or the amount of a layer; null where an expression stands.
function amount(key, node) {
  if (node.layer) return column(key)[node.index];
  if (!sums.has(key)) sums.set(key, new Map());
  const known = sums.get(key);
  if (!known.has(node)) known.set(node, total(key, node.leaves));
  return known.get(node);
}

function total(key, indices) {
  const values = column(key);
  let sum = 0;
  for (const index of indices) {
    if (typeof values[index] === "string") return null;
    sum += Number(values[index]);
  }
  if (sum <= Number.MAX_SAFE_INTEGER) return sum;
  if (
    indices.some((index) => typeof values[index] === "number" && !Number.isInteger(values[index]))
  )
    return sum;
  return indices.reduce((exact, index) => exact + BigInt(values[index]), 0n);
}
