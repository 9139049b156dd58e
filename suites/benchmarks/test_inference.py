"""Inference with one input at a time: milliseconds of ResNet-50, an LSTM and BERT-base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch", reason="written for torch")

import torch

from . import models, wide

if TYPE_CHECKING:
    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch")

#: Height and width of an image; sequence and hidden size; length of a text.
PIXELS = {"quick": 64, "full": 224}
LSTM = {"quick": (64, 128), "full": (512, 512)}
TOKENS = {"quick": 32, "full": 128}


def test_resnet50(bench: DeviceBench) -> None:
    network = models.imagenet("resnet50", bench.settings.seed, 1000)
    pixels = PIXELS[bench.settings.size]
    image = torch.randn(1, 3, pixels, pixels, generator=generator(bench))
    name = "resnet50 inference, batch 1" if bench.full else f"resnet50, {pixels} px, batch 1"

    infer(bench, name, network, image)


def test_lstm(bench: DeviceBench) -> None:
    steps, size = LSTM[bench.settings.size]
    network = models.lstm(size, bench.settings.seed)
    sequence = torch.randn(1, steps, size, generator=generator(bench))

    infer(bench, f"lstm inference, {steps} x {size}", network, sequence)


def test_bert(bench: DeviceBench) -> None:
    network = models.bert(bench.settings.seed, full=bench.full)
    length = TOKENS[bench.settings.size]
    words = torch.randint(0, network.config.vocab_size, (1, length), generator=generator(bench))
    kind = "bert-base" if bench.full else "bert of 2 layers"

    infer(bench, f"{kind} inference, {length}", network, words)


def generator(bench: DeviceBench) -> torch.Generator:
    return torch.Generator().manual_seed(bench.settings.seed)


def infer(bench: DeviceBench, name: str, network: Any, values: torch.Tensor) -> None:
    """Time single runs as published: three to warm up, ten measured, each waited for."""
    there = network.to(bench.device).eval()
    inputs = values.to(bench.device)

    def call() -> Any:
        with torch.no_grad():
            return there(inputs)

    rounds = bench.pick(quick=5, full=10)
    found = bench.time(call, rounds=rounds, warmup=bench.pick(quick=1, full=3), each_call=True)

    output = wide.first_of(found)
    facts = bench.framework.facts(output)
    assert bench.framework.on_device(facts, bench.spec), f"the output is on {facts.device}"
    wide.check(network, {"output": output}, wide.forward, values, seed=bench.settings.seed)
    bench.leave_time(name, "ms")
