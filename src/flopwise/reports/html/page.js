// What the reader has chosen, and the parts of the page that follow it.

const state = {
  convention: 0,
  measure: "value",
  zoom: root,
  filter: "",
  operator: null,
  flat: false,
  sort: { by: null, down: true },
  selected: null,
};
const convention = () => data.conventions[state.convention];
const valueKey = () => `value:${convention().values}`;
const measureKey = () => (state.measure === "value" ? valueKey() : state.measure);
const measured = (value) => (state.measure === "bytes" ? bytes(value) : short(value));
const byId = (id) => document.getElementById(id);

// Which parts follow which choice.
const PARTS = {
  totals: [drawTotals, ["convention"]],
  conventions: [drawConventions, []],
  icicle: [drawIcicle, ["convention", "measure", "zoom"]],
  operators: [drawOperators, ["convention", "measure", "operator"]],
  scatter: [drawScatter, []],
  table: [drawTable, ["convention", "filter", "operator", "flat", "sort", "selected"]],
  details: [refreshDetails, ["convention", "selected"]],
};

function setState(changes) {
  const changed = Object.keys(changes).filter((name) => state[name] !== changes[name]);
  Object.assign(state, changes);
  byId("filter").value = state.filter;
  for (const [draw, names] of Object.values(PARTS)) {
    if (names.some((name) => changed.includes(name))) draw();
  }
}

function drawAll() {
  colour();
  for (const [draw] of Object.values(PARTS)) draw();
}

function figure(id, value, format) {
  const shown = format(value);
  byId(id).textContent = shown;
  byId(id).classList.toggle("long", shown.length > 12);
  const exact = digits(value) + (format === bytes ? " B" : "");
  byId(`${id}-exact`).textContent = isText(value) || exact === shown ? "" : exact;
}

function drawTotals() {
  const { name, statement, url, version, total } = convention();
  figure("value", settled(total), short);
  byId("value-unit").textContent = name;
  byId("statement").textContent = statement;
  byId("source").href = /^https?:/.test(url) ? url : "#";
  byId("source").textContent = `source, version ${version}`;
  byId("measure-value").textContent = name;
  figure("params", settled(data.totals.params), short);
  figure("macs", settled(data.totals.macs), short);
  figure("bytes", settled(data.totals.bytes), bytes);
}

function fillConventions() {
  const select = byId("convention");
  select.append(...data.conventions.map(({ name }, i) => build("option", { value: i }, name)));
  select.addEventListener("change", () => setState({ convention: Number(select.value) }));
}

function drawConventions() {
  const rows = data.conventions.map(({ name, statement, total }) =>
    build(
      "tr",
      {},
      build("th", { scope: "row" }, name),
      build("td", { class: "number" }, digits(settled(total))),
      build("td", {}, statement),
    ),
  );
  byId("conventions").replaceChildren(...rows);
}

function askSizes() {
  byId("sizes").hidden = data.symbols.length === 0;
  const fields = data.symbols.map((name) =>
    build(
      "label",
      {},
      `${name} = `,
      build("input", {
        type: "number",
        min: 1,
        step: 1,
        inputmode: "numeric",
        "data-symbol": name,
      }),
    ),
  );
  byId("sizes-fields").replaceChildren(...fields);
  byId("sizes-fields").addEventListener("input", () => {
    const given = {};
    for (const input of byId("sizes-fields").querySelectorAll("input")) {
      if (/^[1-9]\d{0,11}$/.test(input.value)) given[input.dataset.symbol] = BigInt(input.value);
    }
    setSizes(given);
    drawAll();
  });
}

function listUnknown() {
  const missing = Object.entries(data.unknown);
  byId("unknown").hidden = missing.length === 0;
  byId("unknown-list").replaceChildren(
    ...missing.map(([origin, n]) =>
      build("li", {}, build("code", {}, origin), ` × ${n.toLocaleString()}`),
    ),
  );
  byId("notes").replaceChildren(...data.notes.map((note) => build("li", {}, note)));
  byId("notes").hidden = data.notes.length === 0;
  const known = layers.filter((layer) => layer.known).length;
  byId("coverage").textContent =
    count === 0
      ? "none"
      : known === count
        ? "100%"
        : `${(Math.floor((1000 * known) / count) / 10).toFixed(1)}%`;
  byId("coverage-exact").textContent =
    `${known.toLocaleString()} of ${count.toLocaleString()} operators`;
}

function themed() {
  const order = ["auto", "light", "dark"];
  const stored = () => {
    try {
      return localStorage.getItem("flopwise-theme");
    } catch {
      return null;
    }
  };
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = `Theme: ${theme}`;
    try {
      localStorage.setItem("flopwise-theme", theme);
    } catch {
      /* a file may have no storage */
    }
  };
  set(order.includes(stored()) ? stored() : "auto");
  byId("theme").addEventListener("click", () =>
    set(order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3]),
  );
}

function copied() {
  const words = byId("methods");
  byId("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(words.textContent);
      byId("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(words);
      byId("copy").textContent = "Selected";
    }
    setTimeout(() => (byId("copy").textContent = "Copy"), 2000);
  });
}

function choices(name, change) {
  for (const input of document.querySelectorAll(`input[name=${name}]`)) {
    input.addEventListener("change", () => change(input.value));
  }
}

function tableEvents() {
  const nodeOf = (event) => {
    const row = event.target.closest?.("tr[data-at]");
    return row ? list.rows[Number(row.dataset.at)].node : null;
  };
  const pointedAt = (event) => {
    if (nodeOf(event)) showDetails(nodeOf(event));
  };
  body.addEventListener("keydown", keyed);
  body.addEventListener("click", (event) => nodeOf(event) && clicked(event, nodeOf(event)));
  body.addEventListener(
    "pointerover",
    (event) => event.pointerType === "mouse" && pointedAt(event),
  );
  body.addEventListener("pointerleave", () => showDetails(state.selected));
  body.addEventListener(
    "focusin",
    (event) => event.target.matches(":focus-visible") && pointedAt(event),
  );
}

function clicked(event, node) {
  list.active = Number(event.target.closest("tr").dataset.at);
  if (node.layer) setState({ selected: node === state.selected ? null : node });
  else toggle(node);
  body.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
}

function toolEvents() {
  let waiting = 0;
  byId("filter").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => setState({ filter: event.target.value }), 80);
  });
  const opens = (id, depth) =>
    byId(id).addEventListener("click", () => {
      openTo(depth);
      drawTable();
    });
  opens("expand", Infinity);
  opens("collapse", 0);
  byId("close").addEventListener("click", () => setState({ selected: null }));
  addEventListener("keydown", (event) => event.key === "Escape" && setState({ selected: null }));
}

// The same function, at most once per frame.
function soon(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

function windowEvents() {
  addEventListener("scroll", soon(drawScrolled), { passive: true });
  let width = innerWidth;
  addEventListener(
    "resize",
    soon(() => {
      if (innerWidth !== width) {
        width = innerWidth;
        drawIcicle();
        drawScatter();
      }
      drawRows();
    }),
  );
  addEventListener("beforeprint", () => {
    list.whole = true;
    drawRows();
  });
  addEventListener("afterprint", () => {
    list.whole = false;
    drawRows();
  });
}

themed();
fillConventions();
askSizes();
listUnknown();
copied();
openFirst();
choices("measure", (measure) => setState({ measure }));
choices("order", (order) => setState({ flat: order === "flat" }));
tableEvents();
toolEvents();
windowEvents();
drawAll();
document.documentElement.dataset.ready = "true";
