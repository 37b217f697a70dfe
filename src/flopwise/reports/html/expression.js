// Sizes and formulas as text ("n · f · k1²", "N*((H + 1)//2)**2"): read, evaluated, shown.

const TOKEN = /\s*(\d+|[\p{L}_][\p{L}\p{N}_]*|\*\*|\/\/|[-+*/(),·²³])/uy;
const SUPERSCRIPT = { "²": 2, "³": 3 };

function parse(text) {
  const tokens = [];
  TOKEN.lastIndex = 0;
  for (let found; (found = TOKEN.exec(text));) tokens.push(found[1]);
  if (tokens.join("") !== text.replace(/\s/g, "")) throw new SyntaxError(text);
  let at = 0;
  const take = (...wanted) => (wanted.includes(tokens[at]) ? tokens[at++] : null);
  const chain = (operand, ...signs) => {
    let left = operand();
    for (let sign; (sign = take(...signs));) left = { sign, left, right: operand() };
    return left;
  };
  const sum = () => chain(product, "+", "-");
  const product = () => chain(signed, "*", "·", "//", "/");
  const signed = () => (take("-") ? { sign: "negative", left: signed() } : power());
  const power = () => {
    const base = atom();
    const raised = take("²", "³");
    if (raised) return { sign: "**", left: base, right: { number: String(SUPERSCRIPT[raised]) } };
    return take("**") ? { sign: "**", left: base, right: signed() } : base;
  };
  const atom = () => {
    if (take("(")) {
      const inside = sum();
      if (!take(")")) throw new SyntaxError(text);
      return inside;
    }
    const token = tokens[at++];
    if (token === undefined || !/[\p{L}\p{N}_]/u.test(token)) throw new SyntaxError(text);
    if (/^\d/.test(token)) return { number: token };
    if (!take("(")) return { name: token };
    const operands = [sum()];
    while (take(",")) operands.push(sum());
    if (!take(")")) throw new SyntaxError(text);
    return { call: token, operands };
  };
  const tree = sum();
  if (at !== tokens.length) throw new SyntaxError(text);
  return tree;
}

// The exact value for sizes that are BigInts: a fraction [numerator, denominator].
function fraction(tree, sizes) {
  if (tree.number) return [BigInt(tree.number), 1n];
  if (tree.name) {
    if (sizes[tree.name] === undefined) throw new RangeError(tree.name);
    return [sizes[tree.name], 1n];
  }
  if (tree.call) {
    const [a, b] = tree.operands.map((operand) => whole(fraction(operand, sizes)));
    return [tree.call === "max" ? (a > b ? a : b) : a < b ? a : b, 1n];
  }
  const [a, b] = fraction(tree.left, sizes);
  if (tree.sign === "negative") return [-a, b];
  const [c, d] = fraction(tree.right, sizes);
  switch (tree.sign) {
    case "+":
      return [a * d + c * b, b * d];
    case "-":
      return [a * d - c * b, b * d];
    case "**":
      return [a ** c, b ** c];
    case "/":
      return [a * d, b * c];
    case "//":
      return [floor(a * d, b * c), 1n];
    default:
      return [a * c, b * d];
  }
}

const floor = (a, b) => (a % b !== 0n && a < 0n !== b < 0n ? a / b - 1n : a / b);
const whole = ([a, b]) => floor(a, b);

function evaluate(text, sizes) {
  const [a, b] = fraction(parse(text), sizes);
  if (a % b !== 0n) return Number(a) / Number(b);
  const exact = a / b;
  return exact <= Number.MAX_SAFE_INTEGER ? Number(exact) : exact;
}

const BINDING = { "+": 0, "-": 0, negative: 0, "*": 1, "·": 1, "**": 2 };

// The text as MathML, with values in place of letters; as plain text where it is no expression.
function mathml(text, values = {}) {
  const math = element("math");
  try {
    math.append(...shown(filled(parse(text), values)));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    math.append(element("mtext", text));
  }
  return math;
}

function filled(tree, values) {
  if (tree.name) return tree.name in values ? parse(String(values[tree.name])) : tree;
  if (tree.call) return { ...tree, operands: tree.operands.map((o) => filled(o, values)) };
  if (!tree.sign) return tree;
  const right = tree.right && filled(tree.right, values);
  return { ...tree, left: filled(tree.left, values), right };
}

function element(tag, text = "") {
  const made = document.createElementNS("http://www.w3.org/1998/Math/MathML", tag);
  made.textContent = text;
  return made;
}

function mrow(parts) {
  const made = element("mrow");
  made.append(...parts);
  return made;
}

function wrapped(tag, ...groups) {
  const made = element(tag);
  made.append(...groups.map(mrow));
  return made;
}

function shown(tree, least = 0) {
  const binding = tree.sign in BINDING ? BINDING[tree.sign] : 3;
  const parts = written(tree, binding);
  return binding < least ? [element("mo", "("), ...parts, element("mo", ")")] : parts;
}

function written(tree, binding) {
  if (tree.number) return [element("mn", tree.number)];
  if (tree.name) return [letter(tree.name)];
  if (tree.call) {
    const inside = tree.operands.flatMap((o, i) => [
      ...(i ? [element("mo", ",")] : []),
      ...shown(o),
    ]);
    return [element("mi", tree.call), element("mo", "("), ...inside, element("mo", ")")];
  }
  if (tree.sign === "negative") return [element("mo", "−"), ...shown(tree.left, 1)];
  if (tree.sign === "**") return [wrapped("msup", shown(tree.left, 3), shown(tree.right))];
  if (tree.sign === "/") return [wrapped("mfrac", shown(tree.left), shown(tree.right))];
  if (tree.sign === "//") {
    const inside = wrapped("mfrac", shown(tree.left), shown(tree.right));
    return [element("mo", "⌊"), inside, element("mo", "⌋")];
  }
  const sign = element("mo", { "*": "·", "-": "−" }[tree.sign] || tree.sign);
  return [...shown(tree.left, binding), sign, ...shown(tree.right, binding + (tree.sign === "-"))];
}

function letter(name) {
  const indexed = /^(\p{L})_?(\d+)$/u.exec(name);
  if (!indexed) return element("mi", name);
  return wrapped("msub", [element("mi", indexed[1])], [element("mn", indexed[2])]);
}
