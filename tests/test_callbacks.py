"""Callbacks in their real trainers: what is written, and that the off switch writes nothing."""

import csv
from pathlib import Path
from typing import Any

import pytest

import flopwise
from flopwise.callbacks import CostMeter, log_costs
from flopwise.errors import FlopwiseError

torch = pytest.importorskip("torch")
from support.torchvision_ops import available  # noqa: E402

available()
EXAMPLES = Path(__file__).parents[1] / "examples"

# A linear layer of 8 to 4 on 6 rows, then 4 to 2: the first has no gradient of its input.
MACS = 6 * (8 * 4 + 4 * 2)
STEP = 2 * (MACS + 6 * 8 * 4 + 2 * 6 * 4 * 2)


def network() -> Any:
    layers = torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    return torch.nn.Sequential(*layers)


def test_the_meter() -> None:
    meter = CostMeter(device="v100")
    found = meter.count(network(), torch.zeros(6, 8))
    assert found["flopwise/params"] == 8 * 4 + 4 + 4 * 2 + 2
    assert found["flopwise/macs"] == MACS
    assert found["flopwise/flops_per_step"] == STEP
    assert meter.count(network(), torch.zeros(6, 8)) == {}
    rates = meter.step(0.5)
    assert rates["flopwise/flops_per_second"] == STEP / 0.5
    assert rates["flopwise/mfu"] == pytest.approx(STEP / 0.5 / 14e12)  # V100 PCIe


def test_a_model_that_cannot_be_counted_stops_no_run() -> None:
    meter = CostMeter()
    with pytest.warns(UserWarning, match="flopwise counts nothing in this run"):
        assert meter.count(network(), torch.zeros(6, 9)) == {}
    assert meter.step(1.0) == {}


def test_off() -> None:
    meter = CostMeter(enabled=False)
    assert meter.count(network(), torch.zeros(6, 8)) == meter.step(1.0) == {}


def test_lightning(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    import lightning.pytorch as pl
    from lightning.pytorch.loggers import CSVLogger

    from flopwise.callbacks.lightning import FlopwiseCallback

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: Any) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, index: int) -> Any:
            return self(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.TensorDataset(torch.zeros(24, 8), torch.zeros(24))
    for enabled in (True, False):
        logger = CSVLogger(tmp_path / str(enabled))
        trainer = pl.Trainer(
            max_epochs=1, logger=logger, callbacks=[FlopwiseCallback("v100", enabled=enabled)],
            enable_progress_bar=False, enable_checkpointing=False, accelerator="cpu",
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Module(), torch.utils.data.DataLoader(data, batch_size=6))
        file = Path(logger.log_dir) / "metrics.csv"
        rows = list(csv.DictReader(file.open())) if file.exists() else []
        written = [row["flopwise/flops_per_step"] for row in rows if row["flopwise/mfu"]]
        assert bool(rows) is enabled
        if enabled:
            assert float(rows[0]["flopwise/flops_per_step"]) == STEP
            assert len(written) >= 3


def test_hugging_face_trainer(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")
    from flopwise.callbacks.transformers import FlopwiseCallback

    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        vocab_size=50,
    )  # fmt: skip
    data = [{"input_ids": torch.arange(7), "labels": torch.tensor(1)} for _ in range(8)]
    for enabled in (True, False):
        trainer = transformers.Trainer(
            model=transformers.BertForSequenceClassification(config),
            args=transformers.TrainingArguments(
                str(tmp_path), max_steps=2, per_device_train_batch_size=4, logging_steps=1,
                report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
            ),
            train_dataset=data,
            callbacks=[FlopwiseCallback("v100", enabled=enabled)],
        )  # fmt: skip
        trainer.train()
        logged = [e for e in trainer.state.log_history if "flopwise/flops_per_step" in e]
        assert bool(logged) is enabled
        if enabled:
            alone = flopwise.count(trainer.model, {"input_ids": torch.zeros(4, 7).long()})
            assert logged[0]["flopwise/macs"] == alone.total().mac
            # Every matrix product has two gradients: what enters the first one is learned too.
            assert logged[0]["flopwise/flops_per_step"] == 3 * alone.total().flops
            assert logged[-1]["flopwise/mfu"] > 0


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    profile = flopwise.count(EXAMPLES / "vgg16.prototxt")
    with SummaryWriter(str(tmp_path)) as writer:
        log_costs(writer, profile)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Scalars("flopwise/params")[0].value == pytest.approx(138_357_544)


def test_wandb(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    profile = flopwise.count(EXAMPLES / "vgg16.prototxt")
    with wandb.init(mode="offline", dir=str(tmp_path), settings={"silent": True}) as run:
        written = log_costs(run, profile)
        assert dict(run.summary)["flopwise/macs"] == written["flopwise/macs"] == 15_470_264_320


def test_no_logger() -> None:
    profile = flopwise.count(EXAMPLES / "alexnet.prototxt")
    assert log_costs(None, profile) == {}
    with pytest.raises(FlopwiseError, match="is no wandb run"):
        log_costs(object(), profile)
