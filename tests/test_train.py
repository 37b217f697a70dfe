"""What a training run takes, against cases worked out elsewhere.

The textbook case: 2.52e18 operations (SENet: 21e9 x 1.2e6 images x 100 epochs) take 182 days on a
16-core server of 200 GFLOPS at 80 %, 4.2 days on a V100 of 14 TFLOPS at 50 %. Its 21e9 are
multiply-accumulates of one forward pass (convnet-burden's row), so that training takes 6 times
as much.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import flopwise
from flopwise import FlopwiseError
from flopwise.cli import main
from flopwise.counts import Counts
from flopwise.graph import Tensor
from flopwise.ops.optimizers import OPTIMIZERS, find

ROOT = Path(__file__).parents[1]
VGG = str(ROOT / "examples" / "vgg16.prototxt")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["train", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.mark.parametrize(
    ("device", "utilization", "days"), [("200GFLOPS", "0.8", 182.3), ("v100", "50%", 4.17)]
)
def test_the_textbook_case(device: str, utilization: str, days: float) -> None:
    options = ("--operations", "2.52e18", "--device", device, "--utilization", utilization)
    found = json.loads(run(*options, "--format", "json"))
    assert found["days"] == pytest.approx(days, rel=1e-3)
    assert found["hfu"] == found["mfu"] == pytest.approx(0.8 if device == "200GFLOPS" else 0.5)
    assert f"{found['days']:.3g} days" in run(*options)


def test_the_textbook_case_from_the_network(shared: Path) -> None:
    """Both readings side by side, and which of them the case took."""
    senet = shared / "models/caffe/SENet-154.prototxt"
    found = flopwise.train(senet, 1281167, 100, "v100", 1, 0.5, operations=2.52e18, optimizer="sgd")
    assert found.total["forward"] == 2 * 20_688_363_520 * 1281167 * 100
    assert found.operations == pytest.approx(1.6e19, rel=0.01)
    assert found.days == pytest.approx(26.3, abs=0.05)
    readings = {r.name: r for r in found.readings}
    short = readings["forward multiply-accumulates"]
    assert short.seconds / 86400 == pytest.approx(4.4, abs=0.05)
    assert 1 / short.times == pytest.approx(6, rel=1e-3)
    assert "forward multiply-accumulates" in readings["the amount given"].why


def test_forward_and_backward_of_vgg() -> None:
    """138 M weights once per sample and gradient; the first layer has no gradient of its data."""
    found = flopwise.train(VGG, 1000, 2, optimizer="sgd")
    forward, first = 15_470_264_320, 86_704_128
    assert found.total == {
        "forward": 2 * forward * 2000, "backward": 2 * (2 * forward - first) * 2000,
        "recomputation": 0, "optimizer": 0,
    }  # fmt: skip
    assert found.steps == 2000 and found.seconds is None


def test_the_batch_changes_steps_and_not_the_operations() -> None:
    alone, many = (flopwise.train(VGG, 960, 1, batch=n, optimizer="sgd") for n in (1, 32))
    assert many.steps == 30 and alone.steps == 960
    assert many.operations == alone.operations
    assert many.per_step["forward"] == 32 * alone.per_step["forward"]


def test_devices_share_the_time() -> None:
    one, eight = (flopwise.train(VGG, 960, 1, "v100", n, 0.5, batch=4) for n in (1, 8))
    assert eight.seconds == pytest.approx(one.seconds / 8)
    assert eight.device_hours == pytest.approx(one.device_hours)
    assert eight.steps == 30


def test_energy_cost_and_carbon() -> None:
    """100 hours of one V100 of 250 W: 25 kWh, a quarter more with a PUE of 1.25."""
    operations = 14e12 * 0.5 * 360_000
    found = flopwise.train(
        operations=operations, device="v100", utilization=0.5, price=3.0, carbon=400, pue=1.25
    )
    assert found.device_hours == pytest.approx(100)
    assert found.energy_kwh == pytest.approx(31.25)
    assert found.cost == pytest.approx(300)
    assert found.co2e_kg == pytest.approx(12.5)


def test_a_utilization_that_is_predicted_has_a_band() -> None:
    found = flopwise.train(VGG, 960, 1, "v100", batch=32)
    assert found.predicted and found.band is not None
    assert found.band[0] < found.seconds < found.band[1]
    assert 0.2 < found.hfu < 1 and found.mfu == found.hfu
    work = found.operations / (found.seconds * found.machine.peak)
    assert work == pytest.approx(found.hfu)


def test_every_operation_counts_the_optimizer() -> None:
    """SGD multiplies and subtracts once per weight."""
    found = flopwise.train(VGG, 1, 1, optimizer="sgd", convention="ops")
    assert found.total["optimizer"] == 2 * 138_357_544


def test_explain_gives_letters_and_numbers() -> None:
    text = run(VGG, "--samples", 960, "--device", "v100", "--utilization", 0.5, "--explain")
    assert "= operations / (devices x peak x HFU)" in text
    assert "(1 x 1.4e+13 x 0.5)" in text


def test_json_keys_are_the_contract() -> None:
    found = json.loads(run(VGG, "--samples", 960, "--format", "json"))
    assert set(found) >= {
        "schema", "model", "unit", "samples", "epochs", "batch", "steps", "operations_per_step",
        "operations", "device", "seconds", "days", "step_seconds", "device_hours", "hfu", "mfu",
        "energy_kwh", "cost", "co2e_kg", "readings", "formulas", "coverage", "unknown",
    }  # fmt: skip
    assert set(found["operations"]) == {
        "forward", "backward", "recomputation", "optimizer", "model", "executed",
    }  # fmt: skip
    assert found["device"] is None and found["seconds"] is None


WRONG = {
    ("--device", "v10"): "no device 'v10'",
    ("--device", "v100", "--utilization", "1.2"): "a utilization of 1.2 cannot be",
    ("--device", "v100", "--utilization", "0"): "a utilization of 0 cannot be",
    ("--device", "v100", "--utilization", "half"): "'half' is no share",
    ("--device", "v100", "--dtype", "bfloat16"): "no peak for bfloat16",
    ("--device", "1TFLOPS"): "give --utilization",
    ("--samples", "0"): "samples must be above 0",
    ("--epochs", "-3"): "epochs must be above 0",
    ("--count", "0"): "devices must be 1 or more",
    ("--price", "-1"): "below 0",
    ("--pue", "0.5"): "below 1",
    ("--optimizer", "adan"): "did you mean adam",
    ("--accumulate", "0"): "cannot be accumulated over 0",
    ("--freeze", "zzz"): "no weight fits 'zzz'",
    ("--freeze", "*"): "no trainable weight",
    ("--operations", "abc"): "'abc' is no quantity",
    ("--convention", "thop"): "training is counted in",
    ("--batch", "N"): "give --batch",
    ("--loss", "mse"): "no loss 'mse'",
}


@pytest.mark.parametrize("options", WRONG)
def test_bad_input_is_one_clear_line(options: tuple[str, ...]) -> None:
    said = run(VGG, "--samples", "100", *options, code=2)
    assert WRONG[options] in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "name a model"), ((VGG,), "give --samples"),
        (("--operations", "1e9", "--device", "v100"), "give --utilization"),
        (("--operations", "0"), "above 0"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(arguments: tuple[str, ...], text: str) -> None:
    assert text in run(*arguments, code=2)


def test_nothing_to_learn_is_said() -> None:
    with pytest.raises(FlopwiseError, match="no trainable weight"):
        flopwise.train(VGG, 10, frozen=("conv*", "fc*"))


W = Tensor("layer.weight", (512, 2048), role="weight")
BIAS = Tensor("layer.bias", (512,), role="weight")


@pytest.mark.parametrize(
    ("name", "matrix", "vector"),
    [
        ("sgd", 0, 0), ("momentum", 4 << 20, 2048), ("adam", 8 << 20, 4096),
        ("adamw", 8 << 20, 4096), ("lion", 4 << 20, 2048),
        ("adam8bit", 2 * ((1 << 20) + 4 * 4096), 4096),  # scales of blocks of 256
        ("adafactor", 4 * (512 + 2048), 2048), ("muon", 4 << 20, 4096),
    ],
)  # fmt: skip
def test_states_of_optimizers(name: str, matrix: int, vector: int) -> None:
    """Bytes for a weight of 512 x 2048 and its bias."""
    assert (find(name).bytes(W), find(name).bytes(BIAS)) == (matrix, vector)


def test_updates_are_counted_by_running_them() -> None:
    assert find("sgd").counts(BIAS) == 512 * Counts(mul=1, add=1)
    assert find("momentum").counts(BIAS) == 512 * Counts(mul=2, add=2)
    adam = find("adam").counts(BIAS)
    assert adam == 512 * Counts(mul=6, add=4, div=1, sqrt=1)
    assert find("adamw").counts(BIAS) - adam == 512 * Counts(mul=1)
    assert set(OPTIMIZERS) >= {"sgd", "momentum", "adam", "adamw", "adam8bit", "adafactor", "lion"}


def test_muon_orthogonalises_in_five_steps_of_three_products() -> None:
    m, n = 512, 2048
    assert find("muon").counts(W).mac == 5 * (m * m * n + m**3 + m * m * n)
    assert find("muon").counts(BIAS).mac == 0
