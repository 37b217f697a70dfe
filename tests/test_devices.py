"""Devices: their numbers go together, files are read strictly, names are found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from flopwise import devices
from flopwise.cli import main
from flopwise.devices import Cores, Device
from flopwise.devices.files import read
from flopwise.devices.plausibility import doubts
from flopwise.errors import BadDevice, UnknownName

ALL = devices.known()
MARKED = ("conflict", "unverified")
GOOD = """
name = "Example"
[peak]
float32 = 1e12
[memory]
bandwidth = 1e11
"""


@pytest.mark.parametrize("slug", ALL)
def test_numbers_go_together_or_are_marked(slug: str) -> None:
    device = ALL[slug]
    assert device.status and device.sources and device.vendor and device.kind
    if device.status not in MARKED:
        assert doubts(device) == []


def test_every_name_and_alias_finds_one_device() -> None:
    for slug, device in ALL.items():
        for name in (slug, device.name, *device.aliases, slug.upper()):
            assert devices.find(name).slug == slug, name


@pytest.mark.parametrize(
    ("alias", "slug"),
    [("v100", "v100-pcie"), ("A100", "a100-sxm4-40gb"), ("h100", "h100-sxm5"), ("4090", "rtx4090"),
     ("RTX 3090", "rtx3090"), ("t4", "t4"), ("m1", "m1"), ("rpi4", "raspberry-pi-4")],
)  # fmt: skip
def test_names_that_people_say(alias: str, slug: str) -> None:
    assert devices.find(alias).slug == slug


WRONG = {
    "bandwidth of another card": ("l4", {"bandwidth": 3350e9}),
    "sparse float16 beside dense float8": ("l4", {"peak": {"float16": 242e12, "float8": 242e12}}),
    "sparse int8": ("h100", {"peak": {"float16": 989e12, "int8": 4 * 1979e12}}),
    "float32 of a matrix unit": ("v100-pcie", {"peak": {"float32": 28e12}}),
    "a measured rate above the peak": ("a100", {"measured_gemm": 800e12}),
    "cores that do not give the peak": ("epyc-7742", {"cores": (Cores(64, 2.25e9, 16, 2),)}),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_of_public_tables_are_doubted(case: str) -> None:
    name, change = WRONG[case]
    assert doubts(devices.find(name)) == []
    assert len(doubts(replace(devices.find(name), **change))) >= 1


def test_peak_of_a_cpu_follows_from_its_cores(tmp_path: Path) -> None:
    text = GOOD.replace("float32 = 1e12", "") + (
        "[[cores]]\ncount = 6\nfrequency = 2e9\nlanes = 8\nfma_units = 2\n"
        "[[cores]]\ncount = 8\nfrequency = 1e9\nlanes = 4\nfma_units = 1\n"
    )
    assert _write(tmp_path, text).rate("float32") == 2 * (6 * 2e9 * 16 + 8 * 1e9 * 4)


def _write(folder: Path, text: str) -> Device:
    path = folder / "mine.toml"
    path.write_text(text)
    return read(path)


def test_a_file_is_a_device(tmp_path: Path) -> None:
    device = _write(tmp_path, GOOD)
    assert devices.find(str(tmp_path / "mine.toml")) == device
    assert (device.slug, device.rate("float32"), device.bandwidth) == ("mine", 1e12, 1e11)


BROKEN = {
    "no TOML": ("name = ", "not a TOML file"),
    "no bandwidth": (GOOD.replace("bandwidth = 1e11", ""), "memory.bandwidth is missing"),
    "no peak": (GOOD.replace("float32 = 1e12", ""), "no peak"),
    "negative": (GOOD.replace("1e12", "-1e12"), "peak.float32 must be above 0"),
    "zero": (GOOD.replace("1e11", "0"), "memory.bandwidth must be above 0"),
    "not finite": (GOOD.replace("1e11", "nan"), "memory.bandwidth must be above 0"),
    "a text": (GOOD.replace("1e11", "'fast'"), "memory.bandwidth is no number: 'fast'"),
    "a truth": (GOOD.replace("1e11", "true"), "memory.bandwidth is no number: True"),
    "sparse": (GOOD.replace("float32 =", "float16_sparse ="), "'float16_sparse' is no dtype"),
    "misspelt": (GOOD.replace("bandwidth", "bandwith"), "did you mean bandwidth"),
    "half a core": (GOOD + "[[cores]]\ncount = 4\n", "cores.frequency is missing"),
    "core as a number": ("cores = [4]\n" + GOOD, "write [[cores]] tables"),
    "peak as a number": ("peak = 3\n[memory]\nbandwidth = 1e9", "[peak] is no table"),
    "a name that is a number": (GOOD.replace('"Example"', "5"), "name is no text"),
    "aliases as a text": ('aliases = "x"\n' + GOOD, "aliases is no list of texts"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_get_one_line(tmp_path: Path, case: str) -> None:
    text, line = BROKEN[case]
    with pytest.raises(BadDevice) as raised:
        _write(tmp_path, text)
    assert line in str(raised.value)
    assert "mine.toml" in str(raised.value) and "\n" not in str(raised.value)


def test_missing_file() -> None:
    with pytest.raises(BadDevice, match=r"nowhere\.toml: No such file"):
        devices.find("nowhere.toml")


def test_unknown_device_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no device 'a100x'; did you mean a100"):
        devices.find("a100x")


def test_dtype_that_a_device_lacks() -> None:
    with pytest.raises(UnknownName, match="has no peak for bfloat16: give --dtype as one of float"):
        devices.find("v100").rate("bfloat16")


def test_list_shows_every_device_with_its_mark() -> None:
    lines = CliRunner().invoke(main, ["list", "devices"]).stdout.splitlines()
    assert len(lines) == len(ALL)
    assert any("A10G" in line and line.endswith("[conflict]") for line in lines)
