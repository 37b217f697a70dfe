"""Reconciling: claims are read as people write them, and explained only when it means something.

Claims: VGG-16 15.5 G multiply-adds, arXiv 1703.09039 table II; MobileNet 569 M mult-adds and
4.2 M parameters, arXiv 1704.04861 table 8; MobileNet V2 300 M, arXiv 1801.04381 table 4.
"""

import json
import random
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import flopwise
from flopwise.analyses.reconcile import Claim, parse_claim, reconcile
from flopwise.analyses.reconcile.readings import readings
from flopwise.analyses.reconcile.search import CHANCE, search
from flopwise.analyses.reconcile.variants import variants
from flopwise.cli import main
from flopwise.errors import FlopwiseError
from flopwise.reports.reconciliation import page
from support import torchvision_ops

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["reconcile", *map(str, arguments)])


@pytest.mark.parametrize(
    ("text", "value", "unit", "half"),
    [
        ("3.8 GFLOPs", "3.8e9", "flops", "0.05e9"),
        ("3.80 GFLOPs", "3.8e9", "flops", "0.005e9"),
        ("4.09 GMACs", "4.09e9", "macs", "0.005e9"),
        ("4.1G", "4.1e9", "", "0.05e9"),
        ("params 25.6M", "25.6e6", "params", "0.05e6"),
        ("25.6M parameters", "25.6e6", "params", "0.05e6"),
        ("0.57 billion mult-adds", "0.57e9", "macs", "0.005e9"),
        ("569 Million Multiply-Adds", "569e6", "macs", "0.5e6"),
        ("11.3x10^9 FLOPs", "11.3e9", "flops", "0.05e9"),
        ("7.6e9 FLOPs", "7.6e9", "flops", "0.05e9"),
        ("2.27 Bn", "2.27e9", "", "0.005e9"),
        ("22,855,952 params", "22855952", "params", "0.5"),
        ("300M MAdds", "300e6", "macs", "0.5e6"),
        ("55.4B FLOPs", "55.4e9", "flops", "0.05e9"),
        ("1.2 TFLOPs", "1.2e12", "flops", "0.05e12"),
        ("650,000 neurons", "650000", "activations", "0.5"),
        ("97.8 MB", "97.8e6", "bytes", "0.05e6"),
        ("16 MB params", "16e6", "bytes", "0.5e6"),
        ("2 GiB", "2147483648", "bytes", "536870912"),
        ("3.6B active params", "3.6e9", "active_params", "0.05e9"),
        ("37B activated parameters", "37e9", "active_params", "0.5e9"),
        ("0.44B non-embedding params", "0.44e9", "non_embedding_params", "0.005e9"),
        ("827,256 MACC", "827256", "macs", "0.5"),
        ("65.9 BFlops", "65.9e9", "flops", "0.05e9"),
        ("ResNet-50: 4.1 GFLOPs", None, "", ""),
    ],
)
def test_claims_as_people_write_them(text: str, value: str | None, unit: str, half: str) -> None:
    if value is None:
        with pytest.raises(FlopwiseError, match="two numbers"):
            parse_claim(text)
        return
    claim = parse_claim(text)
    assert (claim.value, claim.unit, claim.half) == (Decimal(value), unit, Decimal(half))


def test_a_stated_size_is_kept() -> None:
    assert parse_claim("5.7 GMACs at 299x299").size == (299, 299)
    assert parse_claim("1.8 GFLOPs @ 300").size == (300, 300)


@pytest.mark.parametrize(
    "text", ["many FLOPs", "0 GFLOPs", "", "1e99 FLOPs", "-3 GFLOPs", "4.1G or 25M"]
)
def test_no_claim(text: str) -> None:
    with pytest.raises(FlopwiseError):
        parse_claim(text)


@pytest.mark.parametrize(
    ("model", "claim", "value"),
    [
        ("vgg16", "15.5 G multiply-adds", 15_470_264_320),
        ("vgg16", "30.9 GFLOPs", 30_940_528_640),
        ("vgg16", "138M params", 138_357_544),
        ("mobilenet_v1", "569M mult-adds", 568_740_352),
        ("mobilenet_v1", "4.2M params", 4_231_976),
        ("mobilenet_v2", "300M MAdds", 300_774_272),
        ("mobilenet_v2", "0.28 GMiMACs", None),
        ("alexnet", "650,000 neurons", 659_272),  # cut to two digits
        ("alexnet", "659,000 neurons", 659_272),
        ("alexnet", "658,000 neurons", None),
        ("vgg16", "15,500M multiply-adds", 15_470_264_320),
        ("alexnet", "659,272 neurons", 659_272),
    ],
)
def test_published_numbers(model: str, claim: str, value: int | None) -> None:
    verdict = flopwise.reconcile(EXAMPLES / f"{model}.prototxt", claim)
    assert verdict.explained is (value is not None)
    if value is not None:
        assert value in [round(e.reading.value) for e in verdict.explanations]


def test_another_input_size() -> None:
    claim = "407.2M MACs"  # MobileNet at 192 x 192: arXiv 1704.04861 table 7 gives 418 for width 1
    size = flopwise.count(EXAMPLES / "mobilenet_v1.prototxt", inputs="1x3x192x192")
    said = parse_claim(f"{size.total().mac / 1e6:.1f}M MACs")
    assert said != parse_claim(claim)
    verdict = flopwise.reconcile(EXAMPLES / "mobilenet_v1.prototxt", said.text)
    assert verdict.explanations[0].reading.departures == ("at an input of 192 x 192",)


BOTTLENECK = """
input: "data" input_shape {{ dim: 1 dim: 64 dim: 56 dim: 56 }}
layer {{ name: "a" type: "Convolution" bottom: "data" top: "a"
  convolution_param {{ num_output: 64 kernel_size: 1 stride: {first} bias_term: false }} }}
layer {{ name: "r" type: "ReLU" bottom: "a" top: "a" }}
layer {{ name: "b" type: "Convolution" bottom: "a" top: "b"
  convolution_param {{ num_output: 64 kernel_size: 3 pad: 1 stride: {second} bias_term: false }} }}
layer {{ name: "c" type: "Convolution" bottom: "b" top: "c"
  convolution_param {{ num_output: 256 kernel_size: 1 bias_term: false }} }}
"""


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_where_the_stride_stands(tmp_path: Path, first: int, second: int) -> None:
    one, other = tmp_path / "one.prototxt", tmp_path / "other.prototxt"
    one.write_text(BOTTLENECK.format(first=first, second=second))
    other.write_text(BOTTLENECK.format(first=second, second=first))
    macs = flopwise.count(other).total().mac
    verdict = flopwise.reconcile(one, f"{macs / 1e6:.2f}M MACs")
    assert "ResNet v1" in verdict.explanations[0].reading.departures[0]
    assert round(verdict.explanations[0].reading.value) == macs


def test_resnet_of_the_paper(shared: Path) -> None:
    """3.8e9 of arXiv 1512.03385 is version 1, cut to its digit; MXNet's file is version 1.5."""
    file = shared / "models/mxnet/resnet-50-symbol.json"
    verdict = flopwise.reconcile(file, "3.8 GFLOPs", inputs="1x3x224x224")
    assert verdict.explained
    assert round(verdict.explanations[0].reading.value) == 3_857_973_248


def test_wrong_claims_are_seldom_explained() -> None:
    """As often as the odds say that chance would: the same number altered by 3 to 40 %."""
    base = flopwise.count(EXAMPLES / "mobilenet_v2.prototxt")
    true = parse_claim("300M MAdds")
    found = list(variants(base, true, None))
    chance, wrong = random.Random(1), 0
    for _ in range(400):
        factor = chance.choice((chance.uniform(0.6, 0.97), chance.uniform(1.03, 1.4)))
        value = (true.value * Decimal(factor)).quantize(Decimal(10) ** 6)
        claim = Claim("", value, true.unit, true.half, true.power)
        wrong += search(claim, readings(found, claim)).explained
    assert wrong / 400 <= CHANCE


def test_hits_lie_within_the_rounding() -> None:
    base = flopwise.count(EXAMPLES / "vgg16.prototxt")
    for text in ("15.5G", "15.47G", "30.9G", "31G", "138M params"):
        claim = parse_claim(text)
        for found in reconcile(base, claim).explanations:
            reach = 2 * claim.half if found.reading.cut else claim.half
            assert abs(Decimal(found.reading.value) - claim.value) <= reach


def test_the_command_and_its_json() -> None:
    model = EXAMPLES / "vgg16.prototxt"
    result = run(model, "--claim", "15.5 GFLOPs", "--format", "json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["claim"] == {"value": 15_500_000_000, "unit": "flops", "precision": 100_000_000}
    assert found["ours"]["macs"] == 15_470_264_320
    assert found["explained"] is True
    assert set(found) == {"claim", "ours", "explained", "explanations"}
    first = found["explanations"][0]
    assert set(first) == {"reading", "value", "error", "sentence"}
    assert first["reading"] == ["multiply-adds"]
    assert first["error"] == pytest.approx(15_470_264_320 / 15.5e9 - 1)
    assert first["value"] == 15_470_264_320
    assert "15,470,264,320" in first["sentence"]


def test_several_claims_give_a_list() -> None:
    model = EXAMPLES / "vgg16.prototxt"
    result = run(model, "--claim", "15.5G", "--tool", "ptflops=15.48G", "--format", "json")
    assert [found["claim"]["value"] for found in json.loads(result.stdout)] == [155e8, 1548e7]


# What a reading adds up to, in numbers that are facts of the network: 13,556,712 biases of
# VGG-16's outputs, 4,096,000 multiply-adds of its last layer, 138,357,544 parameters.
@pytest.mark.parametrize(
    ("claim", "sum_", "departure"),
    [
        ("30.94 GFLOPs", "2 x 15,470,264,320 = 30,940,528,640", ""),
        ("15,466,168,320 MACs", "15,470,264,320 - 4,096,000 = 15,466,168,320", "features only"),
        ("15,483,821,032 MACs", "15,470,264,320 + 13,556,712 = 15,483,821,032", "with biases"),
        ("46,410,792,960 MACs", "3 x 15,470,264,320 = 46,410,792,960", "backward"),
        ("495.0 GMACs", "15,470,264,320 x 32 = 495,048,458,240", "for a batch of 32"),
        ("14.41 GMACs", "15,470,264,320 = 14.41 x 2^30", "1 G = 2^30"),
        ("528 MB", "4 x 138,357,544 = 553,430,176 = 527.8 x 2^20", "1 M = 2^20"),
        ("553.43 MB params", "4 x 138,357,544 = 553,430,176", "in float32"),
        ("276.7 MB", "2 x 138,357,544 = 276,715,088", "in half precision"),
        ("134,260,544 params", "138,357,544 - 4,097,000 = 134,260,544", "without the classifier"),
    ],
)
def test_the_arithmetic(claim: str, sum_: str, departure: str) -> None:
    result = run(EXAMPLES / "vgg16.prototxt", "--claim", claim)
    first = result.stdout.split("1. ", 1)[1].splitlines()[0]
    assert sum_ in first and departure in first, first


def test_a_batch_that_the_file_states(tmp_path: Path) -> None:
    file = tmp_path / "ten.prototxt"
    file.write_text(
        BOTTLENECK.format(first=1, second=1).replace("dim: 1 dim: 64", "dim: 10 dim: 64")
    )
    whole = flopwise.count(file).total().mac
    result = run(file, "--claim", f"{whole // 10:,} MACs")
    assert f"{whole:,} / 10 = {whole // 10:,}" in result.stdout
    assert "per sample of the batch of 10" in result.stdout


FOLDED = """
input: "data" input_shape {{ dim: 1 dim: 3 dim: 8 dim: 8 }}
layer {{ name: "a" type: "Convolution" bottom: "data" top: "a"
  convolution_param {{ num_output: 16 kernel_size: 3 bias_term: {bias} }} }}
layer {{ name: "n" type: "BatchNorm" bottom: "a" top: "a" }}
layer {{ name: "s" type: "Scale" bottom: "a" top: "a" scale_param {{ bias_term: true }} }}
layer {{ name: "c" type: "InnerProduct" bottom: "a" top: "c"
  inner_product_param {{ num_output: 10 }} }}
"""


@pytest.mark.parametrize("bias", ["true", "false"])
def test_folded_batch_norms(tmp_path: Path, bias: str) -> None:
    """What is left is the weights, and a bias for each filter, stated or gained."""
    file = tmp_path / "net.prototxt"
    file.write_text(FOLDED.format(bias=bias))
    left = 16 * 3 * 9 + 16 + 10 * 16 * 36 + 10
    verdict = flopwise.reconcile(file, f"{left} params")
    folded = [e.reading for e in verdict.explanations if "folded" in " ".join(e.reading.departures)]
    assert [r.value for r in folded] == [left]


def test_experts_and_tables(tmp_path: Path) -> None:
    """46.7 and 12.9 billion: Mistral AI's announcement of Mixtral 8x7B."""
    torchvision_ops.available()  # before transformers imports torchvision
    pytest.importorskip("transformers")
    config = json.loads((EXAMPLES / "mixtral_8x7b.json").read_text())
    model = tmp_path / "config.json"
    model.write_text(json.dumps({**config, "architectures": ["MixtralForCausalLM"]}))
    base = flopwise.count(model, prompt=4)
    for claim, value in (
        ("46.7B params", 46_702_792_704),
        ("12.9B active params", 12_879_925_248),
        ("46.57B non-embedding params", 46_702_792_704 - 32000 * 4096),
    ):
        verdict = flopwise.reconcile(model, claim, profile=base, prompt=4)
        assert round(verdict.explanations[0].reading.value) == value


def test_free_sizes_have_no_number() -> None:
    result = run(EXAMPLES / "vgg16.prototxt", "--input", "Nx3x224x224", "--claim", "15.5G")
    assert result.exit_code == 2 and "give every size" in result.stderr


def test_a_plainer_reading_stands_for_those_that_add_to_it() -> None:
    """With softmax is no other explanation than without, where both land on the claim."""
    verdict = flopwise.reconcile(EXAMPLES / "mobilenet_v1.prototxt", "569M MACs")
    said = [(e.reading.counted, set(e.reading.departures)) for e in verdict.explanations]
    for i, (counted, departures) in enumerate(said):
        assert not any(c == counted and departures > d for c, d in said[:i])


@pytest.mark.parametrize(
    ("least", "rows", "explained"),
    [(400, 2, True), (300, 2, False), (300, 1, True), (200, 2, False), (200, 1, True)],
)
def test_another_size_is_counted_again_where_the_network_may_act_otherwise(
    least: int, rows: int, explained: bool
) -> None:
    """The trace with free sizes does what is done at 224: below `least`, take the rows twice.
    The claims are of 384, with its rows taken once or twice."""
    torch = pytest.importorskip("torch")

    class Picky(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 8, 3)

        def forward(self, x):
            if x.shape[3] < least:  # of no weight
                x = x.contiguous()
            return self.layer(x.repeat(1, 1, 2, 1) if x.shape[2] < least and rows == 2 else x)

    claim = f"{3 * 9 * 8 * (384 * rows - 2) * 382} MACs"
    verdict = flopwise.reconcile(Picky(), claim, inputs=(1, 3, 224, 224))
    assert verdict.explained is explained


def test_a_network_of_one_size_says_that_no_other_was_searched() -> None:
    torch = pytest.importorskip("torch")

    class Rows(torch.nn.Module):
        def forward(self, x):
            return sum((row @ row.mT for row in x.unbind(2)), x.new_zeros(()))

    profile = flopwise.count(Rows(), inputs=(1, 3, 8, 8))
    verdict = flopwise.reconcile(Rows(), "7 GMACs", profile=profile)
    text = page([verdict], profile).blocks[0]
    assert "Other input sizes were not searched: the model needs a number" in text


def test_nothing_explains_it() -> None:
    result = run(EXAMPLES / "vgg16.prototxt", "--claim", "17.3 GFLOPs")
    assert result.exit_code == 1
    assert "Nothing explains it" in result.stdout


def test_what_a_tool_said() -> None:
    """thop counts batch norm and its own softmax: our reading of it explains its number."""
    model = EXAMPLES / "mobilenet_v2.prototxt"
    value = flopwise.count(model, convention="ptflops").value()
    result = run(model, "--tool", f"ptflops={value / 1e6:.2f}M", "--format", "json")
    assert json.loads(result.stdout)["explanations"][0]["reading"] == ["what ptflops prints"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a number to explain"),
        (["--claim", "lots"], "holds no number"),
        (["--claim", "3.8 GFLOPs and 25.6M params"], "holds two numbers"),
        (["--tool", "nothop=4G"], "no convention 'nothop'; did you mean thop"),
        (["--tool", "thop"], "write --tool thop=4.13G"),
        (["--tool", "thop=much"], "holds no number"),
        (["--claim", "15.5G", "--format", "cvs"], "no format 'cvs'; did you mean csv"),
        (["--tool-run", "thop"], "tools run on package.module:callable, not on files"),
    ],
)
def test_bad_claims(arguments: list[str], words: str) -> None:
    result = run(EXAMPLES / "vgg16.prototxt", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr and result.stderr.count("\n") == 1
