"use strict";

const byId = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
const [form, picker, button] = [byId("ask"), byId("file"), byId("count")];
let chosen = null;
let running = null;

function bytes(amount) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const step = amount ? Math.min(3, Math.floor(Math.log2(amount) / 10)) : 0;
  return `${(amount / 1024 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}

function say(line, busy = false) {
  byId("status").textContent = line;
  byId("status").classList.toggle("busy", busy);
}

function fail(line) {
  byId("error").textContent = line;
  byId("error").hidden = !line;
  document.body.classList.toggle("stale", Boolean(line));
}

function take(files) {
  fail("");
  if (files.length !== 1) {
    if (files.length) fail("One file at a time, please.");
    return;
  }
  [chosen] = files;
  const name = document.createElement("b");
  name.textContent = chosen.name;
  byId("chosen").replaceChildren(name, ` · ${bytes(chosen.size)}`);
  count();
}

async function count() {
  if (!chosen) {
    fail("Choose a model file first.");
    return;
  }
  if (chosen.size > Number(meta("limit"))) {
    fail(`${chosen.name} has ${bytes(chosen.size)}; ${bytes(Number(meta("limit")))} are allowed. flopwise serve --max-upload takes more.`);
    return;
  }
  running?.abort();
  const mine = (running = new AbortController());
  const query = new URLSearchParams(new FormData(form));
  query.set("name", chosen.name);
  fail("");
  say("Counting …", true);
  button.disabled = true;
  try {
    const answer = await fetch(`/count?${query}`, {
      method: "POST", body: chosen, signal: mine.signal,
      headers: { "X-Flopwise": meta("secret"), "Content-Type": "application/octet-stream" },
    });
    const told = await answer.json();
    if (answer.ok) show(told);
    else fail(told.error);
  } catch (error) {
    if (error.name === "AbortError") return;
    fail(navigator.onLine === false || error instanceof TypeError
      ? "flopwise does not answer: is it still running, and the file still there?" : String(error));
  } finally {
    if (mine === running) {
      say("");
      button.disabled = false;
    }
  }
}

function show({ report, name }) {
  document.body.classList.add("told");
  document.title = `${name} · flopwise`;
  byId("alone").href = byId("save").href = byId("report").src = report;
  byId("save").download = `${name || "report"}.html`;
  byId("links").hidden = byId("report").hidden = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  count();
});
picker.addEventListener("change", () => take(picker.files));
byId("counted").addEventListener("change", () => chosen && count());

byId("more").addEventListener("click", () =>
  byId("more").setAttribute("aria-expanded", document.body.classList.toggle("open")),
);

let depth = 0; // dragenter and dragleave come for every element that is crossed
const over = (change) => document.body.classList.toggle("over", (depth += change) > 0);
addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
addEventListener("dragleave", () => over(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over(-depth);
  take(event.dataTransfer.files);
});
