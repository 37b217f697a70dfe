// Where the cost sits: modules from the top down, widths by cost, in the order they run.

const HEIGHT = 200; // of the whole, where modules are not nested too deep for it
const icicle = { cells: [], active: 0 };

function drawIcicle() {
  const figure = byId("icicle");
  figure.replaceChildren();
  drawTrail();
  if (!weight(state.zoom)) {
    const why = unsettled()
      ? "Give the sizes above to draw this."
      : "Nothing here by this measure.";
    figure.append(build("p", { class: "empty" }, why));
    return;
  }
  const width = figure.clientWidth || 900;
  const cells = placed(width);
  const levels = 1 + Math.max(...cells.map((cell) => cell.depth));
  const level = Math.round(Math.max(24, Math.min(48, HEIGHT / levels)));
  Object.assign(icicle, { cells, active: 0 });
  const svg = d3
    .select(figure)
    .append("svg")
    .attr("viewBox", `0 0 ${width} ${level * levels}`);
  const told = "Modules and layers by cost. Arrow keys move, Enter opens, Escape goes back.";
  svg.attr("role", "tree").attr("tabindex", 0).attr("aria-label", told);
  const groups = drawCells(svg, level);
  svg.on("keydown", (event) => moved(event, svg));
  svg.on("blur", () => groups.classed("active", false));
}

const weight = (node) => Number(amount(measureKey(), node)) || 0;

// The cells that are wide enough to be seen.
function placed(width) {
  const cells = d3.hierarchy(state.zoom, (node) => node.children);
  cells.sum((node) => (node.layer ? weight(node) : 0));
  d3.partition().size([width, 1])(cells);
  return cells.descendants().filter((cell) => cell.x1 - cell.x0 >= 0.6);
}

function drawCells(svg, level) {
  const groups = svg
    .selectAll("g")
    .data(icicle.cells)
    .join("g")
    .attr("id", (_, i) => `cell-${i}`)
    .attr("role", "treeitem")
    .attr("aria-level", (cell) => cell.depth + 1)
    .attr("aria-label", cellTold)
    .attr("class", ({ data }) => `cell ${data.layer ? series.get(data.op) : "module"}`)
    .attr("transform", (cell) => `translate(${cell.x0},${cell.depth * level})`)
    .on("click", (_, cell) => opened(cell.data));
  const gap = (width) => (width > 3 ? width - 1 : width);
  groups
    .append("rect")
    .attr("width", (cell) => gap(cell.x1 - cell.x0))
    .attr("height", level - 1);
  groups
    .filter((cell) => cell.x1 - cell.x0 > 28)
    .append("text")
    .attr("x", 5)
    .attr("y", level / 2 + 4)
    .text((cell) => fitted(cell, weight(root)));
  const title = ({ data }) => data.name || data.path || "whole model";
  pointed(
    groups,
    title,
    (cell) => amounts(cell.data),
    (cell) => cell.data,
  );
  return groups;
}

function cellTold(cell) {
  const share = percent(cell.value, weight(root)) || "0%";
  return `${cell.data.label || "whole model"}, ${share}, ${measured(amount(measureKey(), cell.data))}`;
}

function fitted(cell, whole) {
  const room = Math.floor((cell.x1 - cell.x0 - 10) / 6.8);
  const name = cell.data.label || "whole model";
  const share = percent(cell.value, whole);
  if (name.length + share.length + 2 <= room) return `${name}  ${share}`;
  return name.length <= room ? name : room > 3 ? `${name.slice(0, room - 1)}…` : "";
}

function opened(node) {
  if (node.layer) reveal(node);
  else if (node === state.zoom && node.parent) setState({ zoom: node.parent });
  else setState({ zoom: node });
}

function moved(event, svg) {
  const { cells } = icicle;
  const here = cells[icicle.active];
  const siblings = here.parent ? here.parent.children.filter((c) => cells.includes(c)) : [here];
  const at = siblings.indexOf(here);
  const next = {
    ArrowDown: () => (here.children || []).find((c) => cells.includes(c)),
    ArrowUp: () => here.parent,
    ArrowRight: () => siblings[at + 1],
    ArrowLeft: () => siblings[at - 1],
  }[event.key];
  if (event.key === "Enter") opened(here.data);
  else if (event.key === "Escape" && state.zoom.parent) setState({ zoom: state.zoom.parent });
  else if (!next) return;
  event.preventDefault();
  if (!next) return void document.querySelector("#icicle svg")?.focus();
  icicle.active = Math.max(0, cells.indexOf(next() || here));
  svg.attr("aria-activedescendant", `cell-${icicle.active}`);
  svg.selectAll("g.cell").classed("active", (_, i) => i === icicle.active);
  showDetails(cells[icicle.active].data);
}

function drawTrail() {
  const path = [];
  for (let at = state.zoom; at; at = at.parent) path.unshift(at);
  const steps = path.map((node, i) =>
    i === path.length - 1
      ? build("span", { "aria-current": "true" }, node.label || "whole model")
      : build("button", { onclick: () => setState({ zoom: node }) }, node.label || "whole model"),
  );
  document.getElementById("trail").replaceChildren(...steps);
}
