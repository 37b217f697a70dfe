"""The HTML report, opened from disk in headless Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flopwise import dims, plugins
from flopwise.dims import symbol
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.infer import infer
from flopwise.profile import Profile, profile
from flopwise.reports import exact
from flopwise.reports.card import shape
from flopwise.reports.html import render
from flopwise.reports.html.data import every
from flopwise.sizes import parse
from support.browser import SIZES
from support.networks import small

FIXED = small()


class Page:
    """A report in the browser."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.browser, self.path = browser, path

    def show(self, shown: Profile, size: str = "desktop", theme: str = "light") -> Page:
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.path.write_text(render(shown), encoding="utf-8")
        self.browser.get(self.path.as_uri())
        return self

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).textContent", selector).strip()

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def choose(self, convention: str) -> None:
        self.run(
            "const s = document.getElementById('convention');"
            "s.value = [...s.options].findIndex((o) => o.text === arguments[0]);"
            "s.dispatchEvent(new Event('change'))",
            convention,
        )

    def type(self, selector: str, text: str) -> None:
        self.run(
            "const [field, done] = [document.querySelector(arguments[0]), arguments[2]];"
            "field.value = arguments[1]; field.dispatchEvent(new Event('input', {bubbles: true}));",
            selector, text,
        )  # fmt: skip
        self.browser.execute_async_script("setTimeout(arguments[0], 150)")  # it waits for more keys

    def rows(self) -> list[dict[str, str]]:
        """The rows of the layer table: short texts by column, and exact ones where told."""
        return self.run("""
            return [...document.querySelectorAll('#table tr[data-at]')].map((row) => ({
              name: row.querySelector('.c-name span').textContent,
              full: row.querySelector('.c-name div').title,
              level: row.getAttribute('aria-level'), open: row.getAttribute('aria-expanded'),
              ...Object.fromEntries([...row.querySelectorAll('td')].map(
                (cell) => [cell.className.split('c-')[1], cell.textContent])),
              ...Object.fromEntries([...row.querySelectorAll('td.number')].map(
                (cell) => ['exact ' + cell.className.split('c-')[1], cell.title])),
            }))""")

    def names(self) -> list[str]:
        return [row["name"] for row in self.rows()]

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Page]:
    opened = Page(browser, tmp_path / "report.html")
    yield opened
    assert opened.errors() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_page_fits_every_screen_in_both_themes(page: Page, size: str, theme: str) -> None:
    page.show(FIXED, size, theme)
    assert page.run("return document.documentElement.dataset.ready") == "true"
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    red, *_ = re.findall(r"\d+", page.run("return getComputedStyle(document.body).backgroundColor"))
    assert (int(red) < 60) == (theme == "dark")
    assert page.run("return document.querySelectorAll('#icicle g.cell').length") > 5
    assert page.run("return document.querySelectorAll('#scatter circle').length") == 4


def test_theme_button_overrules_the_system(page: Page) -> None:
    page.show(FIXED, theme="light")
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = page.run(colour)
    seen = []
    for _ in range(3):
        page.click("#theme")
        seen.append((page.text("#theme"), page.run(colour) == light))
    assert seen == [("Theme: light", True), ("Theme: dark", False), ("Theme: auto", True)]


def test_nothing_is_loaded(page: Page) -> None:
    page.show(FIXED)
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    policy = page.run("return document.querySelector('meta[http-equiv]').content")
    assert policy.startswith("default-src 'none'")


def test_every_convention_changes_totals_and_columns(page: Page) -> None:
    page.show(FIXED)
    totals = set()
    for reading in every(FIXED):
        name = reading.convention.name
        page.choose(name)
        shown = page.text("#value-exact") or page.text("#value")
        assert shown == exact(reading.value()), name
        assert page.text("#statement") == reading.convention.statement
        assert page.text("[data-sort=value]") == name
        by_name = {row["full"]: row["exact value"] for row in page.rows()}
        for line in reading.lines():
            if line.known:
                assert by_name[line.name] == (exact(line.value) if line.value else ""), name
        totals.add(shown)
    assert len(totals) > 5


def test_modules_hold_the_sums_that_python_has(page: Page) -> None:
    page.show(FIXED)
    rows = {row["full"]: row for row in page.rows() if row["level"] == "1"}
    for scope, counts in FIXED.by_scope(1).items():
        if scope[0] in rows:
            assert rows[scope[0]]["exact macs"] == exact(counts.mac)
            assert rows[scope[0]]["exact bytes"] == exact(counts.bytes)
    assert list(rows) == ["stem", "loop/conv_1", "head"]  # the loop holds one layer only
    head = rows["head"]
    assert (head["macs"], head["value"]) == ("≥ 80", "≥ 160")


def test_numbers_beyond_doubles_stay_exact(page: Page) -> None:
    large = small(batch=10**14 + 1)
    page.show(large)
    assert large.value() > 2**64
    assert page.text("#value-exact") == exact(large.value())
    stem = next(row for row in page.rows() if row["full"] == "stem")
    assert stem["exact macs"] == exact(large.by_scope(1)[("stem",)].mac)


def test_sorting(page: Page) -> None:
    page.show(small(unknown=False))
    page.click("input[value=flat]")
    in_order = page.names()
    page.click("[data-sort=macs]")
    macs = [int(row["exact macs"].replace(",", "") or 0) for row in page.rows()]
    assert macs == sorted(macs, reverse=True) and macs[0] == 5898240
    assert page.all(".c-macs[aria-sort=descending]")
    page.click("[data-sort=macs]")
    assert page.names()[-1] == "loop/conv_1" and page.all(".c-macs[aria-sort=ascending]")
    page.click("[data-sort=macs]")
    assert page.names() == in_order and page.all(".c-macs[aria-sort=none]")
    page.click("[data-sort=name]")
    assert page.names() == sorted(in_order, key=str.lower)


def test_sorting_keeps_layers_in_their_modules(page: Page) -> None:
    page.show(FIXED)
    page.click("[data-sort=value]")
    top = [row["name"] for row in page.rows() if row["level"] == "1"]
    assert top == ["loop", "stem", "head"]
    stem = page.names().index("stem")
    assert page.names()[stem + 1 : stem + 3] == ["1", "conv"]


@pytest.mark.parametrize(
    "words, found",
    [("conv", 3), ("RELU", 2), ("stem conv", 2), ("acme", 1), ("1×10", 1), ("nothing", 0)],
)
def test_filter(page: Page, words: str, found: int) -> None:
    page.show(FIXED)
    page.type("#filter", words)
    assert page.text("#status").startswith(f"{found} of 9 layers")
    assert len([row for row in page.rows() if row["open"] is None]) == found


def test_filter_adds_up_what_it_leaves(page: Page) -> None:
    page.show(small(unknown=False))
    page.type("#filter", "stem")
    assert page.text("#status") == "4 of 8 layers, 1.622 M flops (12.1%)"
    page.type("#filter", "")
    page.click("[data-op=linear]")
    assert page.text("#status") == "1 of 8 layers, 160 flops (< 0.1%)"
    assert page.all("[data-op=linear][aria-pressed=true]")


def test_keyboard_moves_opens_and_closes(page: Page) -> None:
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    page.show(FIXED)
    page.run("document.querySelector('#table tr[tabindex=\"0\"]').focus()")

    def press(key: str) -> str:
        page.browser.switch_to.active_element.send_keys(key)
        return page.run("return document.activeElement.querySelector('.c-name span').textContent")

    before = page.names()
    assert press(keys.ARROW_LEFT) == "stem"
    assert len(page.names()) < len(before) and page.rows()[0]["open"] == "false"
    assert press(keys.ARROW_DOWN) == "loop"
    assert press(keys.ARROW_UP) == "stem"
    assert press(keys.ARROW_RIGHT) == "stem" and page.names() == before
    assert press(keys.END) == "fc"
    assert press(keys.ARROW_LEFT) == "head"
    assert press(keys.END) == "fc"
    press(keys.ENTER)
    assert page.text("#details h3") == "head/fc"
    press(keys.ESCAPE)
    assert "Point at a layer" in page.text("#details-body")


def test_icicle_zooms_by_mouse_and_by_keys(page: Page) -> None:
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    page.show(FIXED)
    labels = "return [...document.querySelectorAll('#icicle g')].map((g) => g.ariaLabel)"
    whole = page.run(labels)
    assert whole[:2] == ["whole model, 100.0%, 13.42 M", "stem, 12.1%, 1.622 M"]
    for key in (keys.ARROW_DOWN, keys.ENTER):
        page.run("document.querySelector('#icicle svg').focus()")
        page.browser.switch_to.active_element.send_keys(key)
        if key == keys.ARROW_DOWN:
            assert page.text("#details h3") == "stem"
            page.browser.switch_to.active_element.send_keys(keys.ARROW_RIGHT, keys.ARROW_LEFT)
    assert page.run(labels)[0] == "stem, 12.1%, 1.622 M"
    page.browser.switch_to.active_element.send_keys(keys.ESCAPE)
    assert page.run(labels) == whole
    page.browser.execute_script(
        "[...document.querySelectorAll('#icicle g')].find((g) => g.ariaLabel.startsWith('loop'))"
        ".dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    assert page.text("#details h3") == "loop/conv_1"


def test_formula_of_a_layer_in_letters_and_numbers(page: Page) -> None:
    page.show(FIXED)
    page.click("#table tr[data-at]:nth-last-child(2)")
    assert page.text("#details h3") == "head/fc"
    formulas = page.run(
        "return [...document.querySelectorAll('.formulas > *')].map((e) => e.textContent)"
    )
    at = formulas.index("MACs")
    assert formulas[at : at + 4] == ["MACs", "n1·i·o", "1·8·10", "= 80"]
    assert formulas[:4] == ["flops", "2·n1·i·o", "2·1·8·10", "= 160"]
    assert page.all("#details math msub")
    page.choose("macs")
    assert page.text(".formulas dt") == "macs"


def test_what_is_not_counted_is_listed(page: Page) -> None:
    page.show(FIXED)
    assert page.text("#unknown-list") == "acme::Foo_1 × 1"
    assert page.text("#coverage") == "88.8%"
    odd = next(row for row in page.rows() if row["op"] == "unknown")
    assert (odd["macs"], odd["value"], odd["bytes"]) == ("?", "?", "?")
    page.show(small(unknown=False))
    assert not page.all("#unknown")[0].is_displayed()


def test_free_sizes_are_filled_in(page: Page) -> None:
    free, fixed = small(symbol("N"), symbol("H")), small(2, 48)
    page.show(free)
    assert page.text("#value") == "13104·H²·N + 160·N"
    assert "Give the sizes" in page.text("#icicle")
    page.type("[data-symbol=N]", "2")
    page.type("[data-symbol=H]", "48")
    assert page.text("#value-exact") == exact(fixed.value())
    shown = {row["full"]: row for row in page.rows()}
    for line in fixed.lines():
        if line.known and line.counts.mac:
            assert shown[line.name]["exact macs"] == exact(line.counts.mac)
            assert shown[line.name]["exact bytes"] == exact(line.counts.bytes)
            assert shown[line.name]["shape"] == shape(line.shape)
    assert page.all("#icicle g.cell")
    page.type("[data-symbol=N]", "")
    assert page.text("#value") == "13104·H²·N + 160·N"


@pytest.mark.parametrize(
    "text",
    ["(H + 31)//32", "N*((H - 7)//2 + 1)**2", "max(H, 2*N) - min(N, 3)", "N*(N + 1)/2 * 4",
     "-N + 5*H", "2**3**2 + N", "((H - 9)//4)*N**3", "99999999999*N*H**4"],
)  # fmt: skip
def test_page_evaluates_as_python_does(browser: Any, text: str) -> None:
    script = files("flopwise.reports.html").joinpath("expression.js").read_text("utf-8")
    sizes = {"N": 5, "H": 3}
    value = browser.execute_script(
        f"{script}; return String(evaluate(arguments[0], {{N: 5n, H: 3n}}))", text
    )
    assert value == str(eval(text, {"max": max, "min": min}, sizes)).removesuffix(".0")
    if "/ 2" not in text and "2**3" not in text:
        assert value == str(dims.at(parse(text), sizes))


HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_names_of_layers_are_only_text(page: Page) -> None:
    image, out = Tensor("x", (1, 4), role="input"), Tensor("y")
    node = Node("relu", (image,), (out,), {}, HOSTILE, (HOSTILE, "<b>"), "<!--{{data}}")
    graph = Graph((image,), (out,), (node,), HOSTILE, "<i>")
    page.show(profile(infer(graph), plugins.load("conventions", "ops")))
    assert page.text("h1") == HOSTILE
    assert [row["full"] for row in page.rows()][-1] == HOSTILE
    assert not page.all("img, main b:not(.c-share b), main i:not(.dot, .chevron, .c-share i)")


@pytest.mark.parametrize("size", SIZES)
def test_five_thousand_layers_put_few_rows_in_the_page(page: Page, size: str) -> None:
    tensors = [Tensor("t0", (1, 64), role="input"), *(Tensor(f"t{i + 1}") for i in range(5000))]
    nodes = [
        Node("relu", (a,), (b,), {}, f"layer{i}", ("model", str(i // 10), str(i % 10)), "Relu")
        for i, (a, b) in enumerate(pairwise(tensors))
    ]
    graph = Graph((tensors[0],), (tensors[-1],), tuple(nodes), "deep", "graph")
    page.show(profile(infer(graph), plugins.load("conventions", "ops")), size)
    page.click("#expand")
    widths = "[...document.querySelectorAll('#table thead th')].map((th) => th.offsetWidth)"
    assert page.run(f"return {widths}.filter((w) => w).length") == (8 if size == "desktop" else 3)
    assert page.run(f"return {widths}[0]") > 180
    assert page.run(f"return {widths}.reduce((a, b) => a + b) <= innerWidth")
    assert page.all("#table")[0].get_attribute("aria-rowcount") == "5502"
    page.click("input[value=flat]")
    assert len(page.rows()) < 150
    page.run("scrollTo(0, document.body.scrollHeight)")
    page.browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")
    assert page.names()[-1] == "layer4999" and len(page.rows()) < 150
    page.type("#filter", "layer4711")
    assert page.names() == ["layer4711"]
    page.type("#filter", "")
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert len(page.rows()) == 5000


def test_prints(page: Page) -> None:
    page.show(FIXED)
    printed = page.browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 10_000


def test_data_is_whole_without_the_page() -> None:
    text = render(FIXED)
    embedded = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert embedded["totals"]["macs"] == FIXED.total().mac
    assert sum(embedded["layers"]["macs"]) == FIXED.total().mac
    for reading in embedded["conventions"]:
        column = embedded["values"][reading["values"]]
        assert sum(column) == pytest.approx(reading["total"], rel=1e-12)
    assert "{{" not in re.sub(r"<script.*?</script>|<!--.*?-->", "", text, flags=re.DOTALL)


def test_license_of_what_is_inlined_goes_along() -> None:
    text = render(FIXED)
    assert "Permission to use, copy, modify, and/or distribute" in text
    banner = files("flopwise.reports.html").joinpath("vendor/d3.min.js").read_text("utf-8")
    assert re.match(r"/\* d3-array \d+\.\d+\.\d+ \(ISC\), ", banner)
