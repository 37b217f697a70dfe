// Bars by operator and the scatter of MACs against bytes; what charts share.

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

// One point for all layers of the same MACs and bytes, larger where there are many.
function points() {
  const found = new Map();
  const [macs, moved] = [column("macs"), column("bytes")];
  for (const layer of layers) {
    const [y, x] = [macs[layer.index], moved[layer.index]];
    if (isText(x) || isText(y) || !Number(x) || !Number(y)) continue;
    const place = `${x} ${y} ${layer.op}`;
    if (!found.has(place))
      found.set(place, { x: Number(x), y: Number(y), op: layer.op, nodes: [] });
    found.get(place).nodes.push(layer);
  }
  return [...found.values()];
}

const tick = (value) => short(value).replace(/\.?0* /, "");

function decades(values) {
  const low = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values) * 1.01));
  return [low, high];
}

function drawScatter() {
  const figure = document.getElementById("scatter");
  const drawn = points();
  const unable = layers.length - drawn.reduce((sum, point) => sum + point.nodes.length, 0);
  const told = document.getElementById("scatter-told");
  figure.replaceChildren();
  if (!drawn.length) {
    told.textContent = unsettled() ? "Give the sizes above to draw this." : "No layer has MACs.";
    return;
  }
  told.textContent = `Dotted lines: MACs per byte.${unable ? ` Not drawn: ${unable} layers without MACs.` : ""}`;
  const [width, height] = [figure.clientWidth || 480, 300];
  const [left, right, top, bottom] = [46, 44, 26, 40];
  const x = d3
    .scaleLog()
    .domain(decades(drawn.map((p) => p.x)))
    .range([left, width - right]);
  const y = d3
    .scaleLog()
    .domain(decades(drawn.map((p) => p.y)))
    .range([height - bottom, top]);
  const svg = d3
    .select(figure)
    .append("svg")
    .attr("viewBox", `0 0 ${width} ${height}`)
    .attr("role", "img");
  const most = drawn.reduce((a, b) => (a.y / a.x > b.y / b.x ? a : b));
  svg.attr(
    "aria-label",
    `Scatter of MACs against bytes moved, both logarithmic, one point per kind of layer, ${drawn.length} points. The highest intensity is ${(most.y / most.x).toPrecision(3)} MACs per byte, ${most.nodes[0].name}. The layer table holds the same numbers.`,
  );
  const ticks = (scale) =>
    scale
      .ticks()
      .filter((t) => Number.isInteger(Math.log10(t)) || Math.abs(Math.log10(t) % 1) < 1e-9);
  const axis = (make, scale, format) =>
    make(scale).tickValues(ticks(scale)).tickFormat(format).tickSizeOuter(0);
  svg
    .append("g")
    .attr("class", "axis")
    .attr("transform", `translate(0,${height - bottom})`)
    .call(axis(d3.axisBottom, x, (v) => `${tick(v)}B`));
  svg
    .append("g")
    .attr("class", "axis")
    .attr("transform", `translate(${left},0)`)
    .call(axis(d3.axisLeft, y, tick));
  svg
    .append("text")
    .attr("class", "title")
    .attr("x", width - right)
    .attr("y", height - 6)
    .attr("text-anchor", "end")
    .text("bytes read and written");
  svg
    .append("text")
    .attr("class", "title")
    .attr("x", left)
    .attr("y", 12)
    .attr("text-anchor", "middle")
    .text("MACs");
  intensities(svg, x, y, drawn);
  svg
    .append("g")
    .selectAll("circle")
    .data(drawn.sort((a, b) => b.nodes.length - a.nodes.length))
    .join("circle")
    .attr("class", (p) => `point ${series.get(p.op)}`)
    .attr("cx", (p) => x(p.x))
    .attr("cy", (p) => y(p.y))
    .attr("r", (p) => Math.min(4 + Math.sqrt(p.nodes.length - 1), 11))
    .on("pointermove", (event, p) => {
      const more = p.nodes.length > 1 ? ` and ${p.nodes.length - 1} alike` : "";
      showTip(event, p.nodes[0].name + more, [
        ...amounts(p.nodes[0]),
        ["MACs per byte", (p.y / p.x).toPrecision(3), ""],
      ]);
      showDetails(p.nodes[0]);
    })
    .on("pointerleave", () => {
      hideTip();
      showDetails(state.selected);
    })
    .on("click", (_, p) => reveal(p.nodes[0]));
}

// Where MACs per byte is 1, 10, 100 …: straight lines of slope one on these axes.
function intensities(svg, x, y, drawn) {
  const [[x0, x1], [y0, y1]] = [x.domain(), y.domain()];
  const powers = drawn.map((p) => Math.log10(p.y / p.x));
  const most = Math.ceil(Math.max(...powers));
  for (let power = Math.floor(Math.min(...powers)); power <= most; power++) {
    const each = 10 ** power;
    const [from, to] = [Math.max(x0, y0 / each), Math.min(x1, y1 / each)];
    if (!(to / from >= 3)) continue;
    svg
      .append("line")
      .attr("class", "guide")
      .attr("x1", x(from))
      .attr("y1", y(from * each))
      .attr("x2", x(to))
      .attr("y2", y(to * each));
    const label = svg
      .append("text")
      .attr("class", "guide")
      .text(each >= 1 ? each.toLocaleString("en-US") : each.toPrecision(1));
    if (to === x1) label.attr("x", x(to) + 4).attr("y", y(to * each) + 4);
    else
      label
        .attr("x", x(to))
        .attr("y", y(to * each) - 5)
        .attr("text-anchor", "middle");
  }
}
