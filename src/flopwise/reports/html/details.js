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
  const inputs = text(field("inputs", node.index)) || "no inputs";
  const repeat = settled(field("repeat", node.index));
  return [
    ...heading(node.name, [node.op, node.origin].filter(Boolean).join(" · ")),
    build("p", { class: "shapes" }, `${inputs} → ${sized(node.shape)}`),
    exactList(node),
    ...paragraph(repeat !== 1, {}, `Runs ${digits(repeat)} times; formulas are for one run.`),
    ...(node.known ? formulaParts(node) : paragraph(true, { class: "caution" }, notCounted(node))),
  ];
}

const paragraph = (wanted, attributes, ...words) =>
  wanted ? [build("p", attributes, ...words)] : [];

const notCounted = (node) =>
  `${node.origin || node.op} has no formula, or a size that it needs is not known. It is in no total.`;

function formulaParts(node) {
  const { letters, counts, readings, pattern } = data.formulas[data.formula[node.index]];
  const { name, perBatch } = convention();
  const reading = readings[state.convention];
  const formulas = [...(reading ? [[name, ...reading]] : []), ...counts];
  const { meaning } = data.ops[node.op];
  if (!formulas.length) return paragraph(meaning, { class: "meaning" }, meaning);
  const rows = formulas.flatMap((formula) => formulaRows(formula, letters));
  const divided = `${name} divides by the batch; its formula is before that.`;
  return [
    ...paragraph(reading && perBatch, {}, divided),
    ...paragraph(meaning, { class: "meaning" }, meaning),
    build("dl", { class: "formulas" }, ...rows),
    ...paragraph(text(pattern), { class: "pattern" }, "Axes: ", build("code", {}, text(pattern))),
  ];
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
