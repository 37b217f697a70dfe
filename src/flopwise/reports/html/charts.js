// Bars by operator, and what the charts share: colours and the words under the pointer.

const SERIES = 7;
const byOperator = new Map();
for (const layer of layers) {
  if (!byOperator.has(layer.op)) byOperator.set(layer.op, []);
  byOperator.get(layer.op).push(layer.index);
}
const series = new Map();

// The operators that cost most in all conventions together keep one colour each.
function colour() {
  const keys = [...new Set(data.conventions.map((c) => `value:${c.values}`)), "bytes"];
  const weight = (op) =>
    keys.reduce(
      (sum, key) =>
        sum +
        (Number(total(key, byOperator.get(op))) || 0) / (Number(total(key, root.leaves)) || 1),
      0,
    );
  const ranked = [...byOperator.keys()].map((op) => [op, weight(op)]).sort((a, b) => b[1] - a[1]);
  ranked.forEach(([op], rank) => series.set(op, rank < SERIES ? `s${rank + 1}` : "s0"));
}

function amounts(node) {
  const part = amount(valueKey(), node);
  return [
    [convention().name, told(node, part, digits), percent(part, amount(valueKey(), root))],
    ["MACs", told(node, amount("macs", node), digits), ""],
    ["params", digits(amount("params", node)), ""],
    ["bytes moved", told(node, amount("bytes", node), digits), ""],
  ];
}

const tip = document.getElementById("tip");

function showTip(event, title, rows) {
  tip.replaceChildren(
    build("b", {}, title),
    ...rows
      .filter(([, v]) => v)
      .map(([k, v, s]) => build("div", {}, `${v} ${k}${s ? ` (${s})` : ""}`)),
  );
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - box.width - 8);
  const above = event.clientY - box.height - 12;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
}

const hideTip = () => (tip.hidden = true);

function drawOperators() {
  const chosen = measureKey();
  const whole = amount(chosen, root);
  const rows = [...byOperator].map(([op, indices]) => ({
    op,
    indices,
    sum: total(chosen, indices),
  }));
  rows.sort((a, b) => Number(b.sum) - Number(a.sum) || b.indices.length - a.indices.length);
  const largest = Number(rows[0]?.sum) || 0;
  const costly = rows.filter(
    ({ op, sum }) => sum !== 0 || op === "unknown" || !layers[byOperator.get(op)[0]].known,
  );
  const free = rows.filter((r) => !costly.includes(r));
  document
    .getElementById("operators")
    .replaceChildren(...costly.map((r) => operatorRow(r, whole, largest)));
  const listed = free.map(({ op, indices }) => `${op} × ${indices.length}`).join(", ");
  document.getElementById("free").textContent = listed ? `Nothing by this measure: ${listed}` : "";
}

function operatorRow({ op, indices, sum }, whole, largest) {
  const known = indices.every((index) => layers[index].known);
  const bar = build("span", { class: `bar ${series.get(op)}` });
  bar.style.width = `${largest && (100 * Number(sum)) / largest}%`;
  bar.hidden = !Number(sum);
  const chosen = state.operator === op;
  const toggle = () => setState({ operator: chosen ? null : op });
  const name = build(
    "button",
    {
      "aria-pressed": String(chosen),
      "data-op": op,
      onclick: toggle,
      title: "Show only these layers",
    },
    op,
  );
  return build(
    "tr",
    {},
    build("th", { scope: "row" }, name, build("small", {}, ` × ${indices.length}`)),
    build("td", { class: "track", "aria-hidden": "true" }, bar),
    build("td", { class: "number", title: digits(sum) }, known ? measured(sum) : "?"),
    build("td", { class: "number share" }, percent(sum, whole)),
  );
}

// A mark that tells what it stands for while the pointer is on it.
function pointed(marks, title, rows, node) {
  marks
    .on("pointermove", (event, mark) => {
      showTip(event, title(mark), rows(mark));
      showDetails(node(mark));
    })
    .on("pointerleave", () => {
      hideTip();
      showDetails(state.selected);
    });
}
