// The layer under the pointer: its numbers exact, and the formula of each in letters and numbers.

const details = document.getElementById("details");
let shownNode;

function showDetails(node) {
  if (node === shownNode) return;
  shownNode = node;
  details.classList.toggle("filled", Boolean(node));
  const inside = document.getElementById("details-body");
  if (!node) {
    inside.replaceChildren(
      build(
        "p",
        { class: "empty" },
        "Point at a layer, or select one, to see how its numbers come about.",
      ),
    );
    return;
  }
  inside.replaceChildren(...(node.layer ? layerDetails(node) : moduleDetails(node)));
}

function refreshDetails() {
  shownNode = undefined;
  showDetails(state.selected);
}

function heading(title, subtitle) {
  return [build("h3", {}, title), build("p", { class: "sub" }, subtitle)];
}

function exactList(node) {
  const rows = amounts(node).map(([label, value, share]) =>
    build(
      "div",
      {},
      build("dt", {}, label),
      build("dd", {}, value || "0", share ? build("small", {}, ` ${share}`) : ""),
    ),
  );
  return build("dl", { class: "exact" }, ...rows);
}

function moduleDetails(node) {
  return [
    ...heading(node.path || "whole model", `${node.leaves.length.toLocaleString()} layers`),
    exactList(node),
  ];
}

function layerDetails(node) {
  const inputs = text(field("inputs", node.index));
  const repeat = settled(field("repeat", node.index));
  const parts = [...heading(node.name, [node.op, node.origin].filter(Boolean).join(" · "))];
  parts.push(
    build("p", { class: "shapes" }, `${inputs || "no inputs"} → ${sized(node.shape)}`),
    exactList(node),
  );
  if (repeat !== 1)
    parts.push(build("p", {}, `Runs ${digits(repeat)} times; formulas are for one run.`));
  if (!node.known) {
    parts.push(
      build(
        "p",
        { class: "caution" },
        `${node.origin || node.op} has no formula, or a size that it needs is not known. It is in no total.`,
      ),
    );
    return parts;
  }
  const group = data.formulas[data.formula[node.index]];
  const reading = group.readings[state.convention];
  const formulas = [...(reading ? [[convention().name, ...reading]] : []), ...group.counts];
  if (reading && convention().perBatch)
    parts.push(
      build("p", {}, `${convention().name} divides by the batch; its formula is before that.`),
    );
  const meaning = data.ops[node.op].meaning;
  if (meaning) parts.push(build("p", { class: "meaning" }, meaning));
  if (formulas.length)
    parts.push(
      build(
        "dl",
        { class: "formulas" },
        ...formulas.flatMap((formula) => formulaRows(formula, group.letters)),
      ),
    );
  const pattern = text(group.pattern);
  if (pattern && formulas.length)
    parts.push(build("p", { class: "pattern" }, "Axes: ", build("code", {}, pattern)));
  return parts;
}

function formulaRows([what, letters, result], values) {
  const steps = [mathml(text(letters)), mathml(text(letters), values)];
  const lines = steps.filter(
    (step, i) =>
      step.textContent !== String(result) && step.textContent !== steps[i - 1]?.textContent,
  );
  const shownLines = lines.map((line) => build("dd", {}, line));
  return [
    build("dt", {}, what),
    ...shownLines,
    build("dd", { class: "result" }, "= ", digits(settled(result))),
  ];
}
