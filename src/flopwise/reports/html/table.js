// The layers: a tree of modules or a flat list; only the rows in sight are in the page.

const COLUMNS = [
  { id: "name", label: "Layer" },
  { id: "op", label: "Operator" },
  { id: "shape", label: "Output" },
  { id: "params", label: "Params", number: () => "params", format: short },
  { id: "macs", label: "MACs", number: () => "macs", format: short },
  { id: "value", label: "", number: () => valueKey(), format: short },
  { id: "share", label: "Share", number: () => valueKey() },
  { id: "bytes", label: "Bytes", number: () => "bytes", format: bytes },
];
const AROUND = 25; // rows kept beyond both edges of the window
const list = { rows: [], matching: null, active: 0, whole: false, from: 0, until: 0 };
const table = document.getElementById("table");
const body = table.tBodies[0];

function openTo(depth) {
  for (const module of modules()) module.open = module.depth <= depth;
}

// As deep as fits a screen or two, unless the command line said how deep.
function openFirst() {
  if (data.depth !== null) return openTo(data.depth - 1);
  for (let depth = 1; depth <= 12; depth++) {
    openTo(depth);
    list.rows = ordered(root, 1, null);
    if (list.rows.length > 80) return openTo(depth - 1);
  }
}

function matches(layer, words) {
  if (state.operator !== null && layer.op !== state.operator) return false;
  const told =
    `${layer.name} ${layer.op} ${layer.origin} ${layer.shape} ${layer.parent.path}`.toLowerCase();
  return words.every((word) => told.includes(word));
}

function listed() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const filtered = words.length > 0 || state.operator !== null;
  const found = filtered ? layers.filter((layer) => matches(layer, words)) : layers;
  list.matching = filtered ? new Set(found.map((layer) => layer.index)) : null;
  list.rows = state.flat
    ? sorted(found).map((node) => ({ node, level: 1 }))
    : ordered(root, 1, list.matching);
  list.active = Math.min(list.active, Math.max(list.rows.length - 1, 0));
  const selection = found.map((layer) => layer.index);
  const sum = total(valueKey(), selection);
  const share = percent(sum, amount(valueKey(), root));
  const told = filtered
    ? `${found.length.toLocaleString()} of ${count.toLocaleString()} layers, ${short(sum)} ${convention().name}${share && ` (${share})`}`
    : `${count.toLocaleString()} layers`;
  document.getElementById("status").textContent = told;
}

function ordered(module, level, matching) {
  const rows = [];
  for (const node of sorted(module.children)) {
    if (matching && !leavesOf(node).some((index) => matching.has(index))) continue;
    rows.push({ node, level });
    if (!node.layer && (node.open || matching)) rows.push(...ordered(node, level + 1, matching));
  }
  return rows;
}

function sorted(nodes) {
  const { by, down } = state.sort;
  if (by === null) return nodes;
  const { number } = COLUMNS.find((c) => c.id === by);
  const of = number
    ? (node) => amount(number(), node)
    : (node) => (by === "name" ? (state.flat ? node.name : node.label) : node[by]) || "";
  return [...nodes].sort((a, b) => compare(of(a), of(b)) * (down ? -1 : 1));
}

function compare(a, b) {
  if (isText(a) && isText(b)) return a.localeCompare(b, "en", { numeric: true });
  if (isText(a) || isText(b) || a === null || b === null) return 0;
  return a < b ? -1 : a > b ? 1 : 0;
}

function drawTable() {
  listed();
  table.setAttribute("role", state.flat ? "grid" : "treegrid");
  table.setAttribute("aria-rowcount", list.rows.length + 1);
  drawHead();
  drawRows();
}

function drawHead() {
  const cells = COLUMNS.map(({ id, label, number }) => {
    const sort = state.sort.by === id ? (state.sort.down ? "descending" : "ascending") : "none";
    const by = () => setState({ sort: next(id, Boolean(number)) });
    const button = build(
      "button",
      { onclick: by, "data-sort": id },
      id === "value" ? convention().name : label,
    );
    return build("th", { scope: "col", class: `c-${id}`, "aria-sort": sort }, button);
  });
  const focused = document.activeElement?.dataset?.sort;
  table.tHead.rows[0].replaceChildren(...cells);
  if (focused) table.tHead.querySelector(`[data-sort=${focused}]`).focus({ preventScroll: true });
}

// First the side one wants first, then the other, then the order of the model.
function next(id, largestFirst) {
  const { by, down } = state.sort;
  if (by !== id) return { by: id, down: largestFirst };
  return down === largestFirst ? { by: id, down: !down } : { by: null, down: true };
}

const rowHeight = () =>
  parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));

// The rows that the window shows, as [first, past the last].
function inSight() {
  const above = -body.getBoundingClientRect().top / rowHeight();
  const last = list.rows.length;
  const clamp = (at) => Math.max(0, Math.min(at, last));
  return [clamp(Math.floor(above)), clamp(Math.ceil(above + innerHeight / rowHeight()))];
}

function drawRows() {
  const height = rowHeight();
  const [first, past] = list.whole ? [0, list.rows.length] : inSight();
  list.from = Math.max(0, first - AROUND);
  list.until = Math.min(list.rows.length, past + AROUND);
  const focused = body.contains(document.activeElement);
  const shown = list.rows
    .slice(list.from, list.until)
    .map((entry, i) => drawRow(entry, list.from + i));
  const below = list.rows.length - list.until;
  body.replaceChildren(spacer(list.from * height), ...shown, spacer(below * height));
  if (focused) body.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
}

// While scrolling, draw anew only where the window leaves what is drawn.
function drawScrolled() {
  const [first, past] = inSight();
  if (first < list.from || past > list.until) drawRows();
}

// One cell, in the column that is always shown: more would bring hidden columns back.
function spacer(height) {
  const cell = build("td", { class: "c-name" });
  cell.style.height = `${height}px`;
  const made = build("tr", { class: "spacer", role: "presentation", "aria-hidden": "true" }, cell);
  made.hidden = height <= 0;
  return made;
}

function drawRow({ node, level }, at) {
  const made = build("tr", {
    role: "row",
    "aria-rowindex": at + 2,
    "data-at": at,
    tabindex: at === list.active ? 0 : -1,
    class:
      [
        node.layer ? "" : "group",
        node === state.selected ? "selected" : "",
        node.known ? "" : "unknown",
      ]
        .join(" ")
        .trim() || null,
    "aria-level": state.flat ? null : level,
    "aria-expanded": node.layer ? null : String(Boolean(node.open || list.matching)),
    "aria-selected": String(node === state.selected),
  });
  made.append(...COLUMNS.map((column) => drawCell(column, node, level)));
  return made;
}

function drawCell({ id, number, format }, node, level) {
  if (id === "name") return nameCell(node, level);
  if (!number) {
    const told = id === "shape" && node.layer ? sized(node.shape) : node[id] || "";
    return build("td", { class: `c-${id}`, title: told || null }, told);
  }
  const value = amount(number(), node);
  if (id === "share") return shareCell(value);
  const counted = id === "params" ? { known: true } : node;
  const shown = value === null ? "" : told(counted, value, format);
  return build(
    "td",
    { class: `number c-${id}`, title: shown && shown !== "?" ? digits(value) : null },
    shown,
  );
}

function nameCell(node, level) {
  const cell = build("th", { scope: "row", class: "c-name" });
  const mark = node.layer
    ? build("i", { class: `dot ${series.get(node.op)}` })
    : build("i", { class: "chevron" });
  const inside = node.layer
    ? `${node.op} · ${sized(node.shape)}`
    : `${node.leaves.length.toLocaleString()} layers`;
  const name = state.flat ? node.name || node.label : node.label;
  cell.append(
    build(
      "div",
      { title: node.name || node.path },
      mark,
      build("span", {}, name),
      build("small", {}, inside),
    ),
  );
  cell.firstChild.style.paddingInlineStart = `calc(${level - 1} * var(--indent))`;
  return cell;
}

function shareCell(value) {
  const share = percent(value, amount(valueKey(), root));
  const bar = build("span", { class: "bar" });
  bar.style.width = `${(100 * Number(value)) / Number(amount(valueKey(), root)) || 0}%`;
  return build(
    "td",
    { class: "number c-share" },
    build("div", {}, build("i", {}, bar), build("b", {}, share)),
  );
}

function activate(at, focus = true) {
  list.active = Math.max(0, Math.min(at, list.rows.length - 1));
  const height = rowHeight();
  const top = body.getBoundingClientRect().top + list.active * height;
  const head = table.tHead.getBoundingClientRect().height;
  if (top < head) scrollBy(0, top - head);
  else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight);
  drawScrolled();
  body.querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
  const active = body.querySelector(`[data-at="${list.active}"]`);
  active?.setAttribute("tabindex", 0);
  if (focus) active?.focus({ preventScroll: true });
}

function toggle(node, wanted = !node.open) {
  node.open = wanted;
  listed();
  table.setAttribute("aria-rowcount", list.rows.length + 1);
  drawRows();
}

// Open what is around a layer, go to it, and select it.
function reveal(node) {
  for (let at = node.parent; at; at = at.parent) at.open = true;
  setState({ filter: "", operator: null, selected: node });
  const at = list.rows.findIndex((entry) => entry.node === node);
  const top = body.getBoundingClientRect().top + scrollY + at * rowHeight();
  scrollTo(0, top - innerHeight / 3);
  activate(at);
}

function keyed(event) {
  const row = event.target.closest("tr[data-at]");
  if (!row || event.target !== row) return;
  const at = Number(row.dataset.at);
  const { node } = list.rows[at];
  const page = Math.max(1, Math.floor(innerHeight / rowHeight()) - 4);
  const moves = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    Home: 0,
    End: list.rows.length - 1,
    PageDown: at + page,
    PageUp: at - page,
  };
  if (event.key in moves) activate(moves[event.key]);
  else if (event.key === "ArrowRight" && !node.layer && !node.open) toggle(node, true);
  else if (event.key === "ArrowLeft" && !node.layer && node.open) toggle(node, false);
  else if (event.key === "ArrowLeft")
    activate(
      Math.max(
        0,
        list.rows.findIndex((entry) => entry.node === node.parent),
      ),
    );
  else if (event.key === "Enter" || event.key === " ")
    node.layer ? setState({ selected: node }) : toggle(node);
  else return;
  event.preventDefault();
}
