"""Reports of a small network, held against golden files and read back by their readers."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flopwise import plugins
from flopwise.dims import symbol
from flopwise.errors import MissingPackage
from flopwise.profile import Profile
from flopwise.reports import card, frames, latex, markdown, mathematics, notebook
from support.networks import small

GOLDEN = Path(__file__).parent / "golden" / "reports"
FIXED, OPEN = small(), small(symbol("N"), symbol("H"))
NETWORKS = {"fixed": FIXED, "symbolic": OPEN, "ops": small(convention="ops", unknown=False)}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind, suffix", [("csv", "csv"), ("markdown", "md"), ("latex", "tex")])
def test_report_is_the_golden_one(
    name: str, kind: str, suffix: str, request: pytest.FixtureRequest
) -> None:
    text = plugins.load("reports", kind).render(NETWORKS[name]) + "\n"
    text = text.replace(card.program(), "flopwise VERSION")
    path = GOLDEN / f"{name}.{suffix}"
    if request.config.getoption("--update-goldens"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def read_csv(profile: Profile, depth: int | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(plugins.load("reports", "csv").render(profile, depth))))


@pytest.mark.parametrize("depth", [None, 1, 2])
def test_csv_columns_add_up_to_the_totals(depth: int | None) -> None:
    rows, total = read_csv(FIXED, depth), FIXED.total()
    expected = {
        "params": FIXED.params, "macs": total.mac, "flops": total.flops, "ops": total.ops,
        "value": FIXED.value(), "read_bytes": total.read, "write_bytes": total.write,
    }  # fmt: skip
    assert {k: sum(int(r[k] or 0) for r in rows) for k in expected} == expected


def test_csv_leaves_empty_what_is_not_counted() -> None:
    (odd,) = (r for r in read_csv(FIXED) if r["op"] == "unknown")
    assert (odd["macs"], odd["ops"], odd["read_bytes"], odd["counted"]) == ("", "", "", "false")
    (head,) = (r for r in read_csv(FIXED, 1) if r["name"] == "head")
    assert (head["macs"], head["counted"]) == ("80", "false")


def test_card_tells_what_totals_hold_for() -> None:
    facts = dict(card.facts(FIXED))
    assert facts["Inputs"] == "image 1×3×32×32 float32"
    assert facts["Coverage"] == "8 of 9 operators have a formula or cost nothing"
    assert facts["Not counted"] == "1 × acme::Foo_1"
    assert "Not counted" not in dict(card.facts(small(unknown=False)))


def test_methods_sentence() -> None:
    assert card.methods(small(unknown=False)) == (
        "We report 6.71 MMACs (13.4 MFLOPs, counting a multiply-add as two operations) and "
        f"1.46 k parameters for small_net at 1×3×32×32, counted with {card.program()}."
    )
    assert card.methods(FIXED).endswith(
        "Operators without a formula are left out: 1 × acme::Foo_1."
    )
    assert "In the convention ops (every elementary" in card.methods(NETWORKS["ops"])


@pytest.mark.parametrize(
    "number, text",
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (4_089_184_256, "4.09 G"), (999_600, "1.00 M"),
     (25_557_032, "25.6 M"), (99_950_000, "100 M"), (10**18, "1.00 E"), (symbol("N"), "N")],
)  # fmt: skip
def test_rounded(number: int, text: str) -> None:
    assert card.rounded(number) == text
    assert card.rounded(number, "MACs").endswith("MACs")


@pytest.mark.parametrize(
    "name, shown",
    [("a|b_c", "a\\|b_c"), ("_x_", "\\_x\\_"), ("*", "\\*"), ("<b>", "\\<b>"), ("a\nb", "a b"),
     ("`c`", "\\`c\\`"), ("$x$", "\\$x\\$"), ("a\\", "a\\\\"), ("[1](2)", "\\[1\\](2)")],
)  # fmt: skip
def test_markdown_escapes(name: str, shown: str) -> None:
    assert markdown.escape(name) == shown


def test_markdown_rows_are_as_wide_as_the_heading() -> None:
    rows = [r for r in markdown.render(FIXED).splitlines() if r.startswith("|")]
    assert len(rows) == 2 + len(FIXED.rows) + 1
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}


@pytest.mark.parametrize(
    "text, shown",
    [("n*((H + 1)//2)**2", r"n \cdot \left\lfloor \frac{H + 1}{2} \right\rfloor^{2}"),
     ("2*(a + b)", r"2 \cdot (a + b)"), ("a - (b - c)", "a - (b - c)"), ("-a + 1", "-a + 1"),
     ("max(a, kv_len)", r"\max(a, \mathit{kv\_len})"), ("1/2*n", r"\frac{1}{2} \cdot n"),
     ("(a*b)**2", r"(a \cdot b)^{2}")],
)  # fmt: skip
def test_mathematics(text: str, shown: str) -> None:
    assert mathematics.latex(text) == shown


@pytest.mark.parametrize("name", ["50% & {so}", "a_b#c$d", "~^\\", "[x]", "*", "é", "中", "<|>"])
def test_latex_escapes_leave_braces_balanced(name: str) -> None:
    plain = re.sub(r"\\[&%$#_{}]", "", latex.escape(name))
    assert plain.count("{") == plain.count("}")
    assert not re.search(r"[&%#_]|(?<!\{)[\[*]|[<>|~^]", plain)


@pytest.mark.parametrize("profile", [*NETWORKS.values()], ids=[*NETWORKS])
@pytest.mark.parametrize("rows_of_a_page", [2, 45])
def test_latex_compiles(
    profile: Profile, rows_of_a_page: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("pdflatex") is None or not _has_style("siunitx"):
        pytest.skip("needs pdflatex with siunitx")
    monkeypatch.setattr(latex, "ROWS_OF_A_PAGE", rows_of_a_page)
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs,longtable,siunitx}"
    document = rf"\documentclass{{article}}{packages}\begin{{document}}{latex.render(profile)}"
    (tmp_path / "report.tex").write_text(document + "\n\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "report.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert run.returncode == 0, run.stdout[-2000:]


def _has_style(name: str) -> bool:
    found = subprocess.run(["kpsewhich", f"{name}.sty"], capture_output=True)
    return found.returncode == 0


def test_pandas_frame_keeps_exact_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    frame = FIXED.to_pandas()
    assert list(frame.columns) == list(frames.COLUMNS)
    assert frame["macs"].sum() == FIXED.total().mac
    assert str(frame["macs"].dtype) == "Int64" and frame["macs"].isna().sum() == 1
    text = plugins.load("reports", "csv").render(FIXED)
    read = pandas.read_csv(io.StringIO(text), dtype=dict.fromkeys(frames.NUMBERS, "Int64"))
    assert (read["ops"].dropna() == frame["ops"].dropna()).all()
    assert OPEN.to_pandas()["macs"][0] == "216*H**2*N"


def test_polars_frame_keeps_exact_numbers() -> None:
    pytest.importorskip("polars")
    frame = FIXED.to_polars()
    assert frame.columns == list(frames.COLUMNS)
    assert frame["macs"].sum() == FIXED.total().mac and frame["macs"].null_count() == 1
    assert OPEN.to_polars()["macs"][0] == "216*H**2*N"
    large = small(batch=10**14).to_polars()
    assert large["macs"].sum() == small(batch=10**14).total().mac > 2**63


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> None:
        raise ImportError(package)

    monkeypatch.setattr(frames, "import_module", absent)
    with pytest.raises(MissingPackage, match="polars is not installed: pip install polars"):
        FIXED.to_polars()


def test_notebook_table() -> None:
    text = FIXED._repr_html_()
    assert '<td style="text-align:left">head/50% &lt;flat&gt; &amp; {so}</td>' in text
    assert text.count("<tr>") == 1 + len(FIXED.rows)
    assert "1 × acme::Foo_1" in text


def test_notebook_folds_to_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "MOST_ROWS", 4)
    assert "modules to depth 1" in FIXED._repr_html_()
    monkeypatch.setattr(notebook, "MOST_ROWS", 2)
    assert "7 more rows" in FIXED._repr_html_()
