# Two commands for a fresh machine: make demo, make test. Each sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all lint docs clean

demo: .venv/core
	$(BIN)/flopwise examples/vgg16.prototxt

test: .venv/dev
	$(BIN)/pytest

test-all: .venv/frameworks
	$(BIN)/pytest

lint: .venv/frameworks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/core: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/dev: .venv/core
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

# The frameworks whose frontends are tested, and what reads and opens the reports; torch as constraints.txt pins it.
.venv/frameworks: .venv/dev constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt onnx onnxruntime transformers
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps timm torchvision
	$(BIN)/pip install --quiet --constraint constraints.txt huggingface_hub safetensors pillow
	$(BIN)/pip install --quiet --constraint constraints.txt selenium pandas polars
	$(BIN)/pip install --quiet --constraint constraints.txt lightning accelerate tensorboard wandb
	touch $@

clean:
	rm -rf .venv dist
