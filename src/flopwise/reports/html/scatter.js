// MACs against bytes moved, both logarithmic: how much arithmetic each byte pays for.

const SCATTER = { height: 300, left: 46, right: 44, top: 26, bottom: 40 };

function drawScatter() {
  const figure = byId("scatter");
  const drawn = points();
  figure.replaceChildren();
  byId("scatter-told").textContent = scatterTold(drawn);
  if (!drawn.length) return;
  const { height, left, right, top, bottom } = SCATTER;
  const width = figure.clientWidth || 480;
  const x = logarithmic(drawn.map((p) => p.x)).range([left, width - right]);
  const y = logarithmic(drawn.map((p) => p.y)).range([height - bottom, top]);
  const svg = d3.select(figure).append("svg").attr("viewBox", `0 0 ${width} ${height}`);
  svg.attr("role", "img").attr("aria-label", described(drawn));
  drawAxes(svg, x, y, width);
  drawIntensities(svg, x, y, drawn);
  drawPoints(svg, x, y, drawn);
}

// One point for all layers of the same MACs and bytes, larger where there are many.
function points() {
  const found = new Map();
  const [macs, moved] = [column("macs"), column("bytes")];
  for (const layer of layers) {
    const [y, x] = [macs[layer.index], moved[layer.index]];
    if (isText(x) || isText(y) || !Number(x) || !Number(y)) continue;
    const place = `${x} ${y} ${layer.op}`;
    const point = { x: Number(x), y: Number(y), op: layer.op, nodes: [] };
    if (!found.has(place)) found.set(place, point);
    found.get(place).nodes.push(layer);
  }
  return [...found.values()].sort((a, b) => b.nodes.length - a.nodes.length);
}

function scatterTold(drawn) {
  if (!drawn.length)
    return unsettled() ? "Give the sizes above to draw this." : "No layer has MACs.";
  const left = layers.length - drawn.reduce((sum, point) => sum + point.nodes.length, 0);
  return "Dotted lines: MACs per byte." + (left ? ` Not drawn: ${left} layers without MACs.` : "");
}

function described(drawn) {
  const most = drawn.reduce((a, b) => (a.y / a.x > b.y / b.x ? a : b));
  return [
    `MACs against bytes moved, both logarithmic: ${drawn.length} points, one per kind of layer.`,
    `${most.nodes[0].name} has most MACs per byte, ${(most.y / most.x).toPrecision(3)}.`,
    "The table of layers holds the same numbers.",
  ].join(" ");
}

// A scale over whole decades.
function logarithmic(values) {
  const low = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values) * 1.01));
  return d3.scaleLog().domain([low, high]);
}

const tick = (value) => short(value).replace(/\.?0* /, "");

function drawAxes(svg, x, y, width) {
  const { height, left, right, bottom } = SCATTER;
  const decades = (scale) => scale.ticks().filter((t) => Math.abs(Math.log10(t) % 1) < 1e-9);
  const axis = (make, scale, format, place) =>
    svg
      .append("g")
      .attr("class", "axis")
      .attr("transform", place)
      .call(make(scale).tickValues(decades(scale)).tickFormat(format).tickSizeOuter(0));
  axis(d3.axisBottom, x, (value) => `${tick(value)}B`, `translate(0,${height - bottom})`);
  axis(d3.axisLeft, y, tick, `translate(${left},0)`);
  const title = (text, at, y, anchor) =>
    svg
      .append("text")
      .attr("class", "title")
      .attr("x", at)
      .attr("y", y)
      .attr("text-anchor", anchor)
      .text(text);
  title("bytes read and written", width - right, height - 6, "end");
  title("MACs", left, 12, "middle");
}

function drawPoints(svg, x, y, drawn) {
  const marks = svg
    .append("g")
    .selectAll("circle")
    .data(drawn)
    .join("circle")
    .attr("class", (p) => `point ${series.get(p.op)}`)
    .attr("cx", (p) => x(p.x))
    .attr("cy", (p) => y(p.y))
    .attr("r", (p) => Math.min(4 + Math.sqrt(p.nodes.length - 1), 11))
    .on("click", (_, p) => reveal(p.nodes[0]));
  const alike = ({ nodes }) => (nodes.length > 1 ? ` and ${nodes.length - 1} alike` : "");
  const rows = (p) => [...amounts(p.nodes[0]), ["MACs per byte", (p.y / p.x).toPrecision(3)]];
  pointed(
    marks,
    (p) => p.nodes[0].name + alike(p),
    rows,
    (p) => p.nodes[0],
  );
}

// Where MACs per byte is 1, 10, 100 …: straight lines of slope one on these axes.
function drawIntensities(svg, x, y, drawn) {
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
