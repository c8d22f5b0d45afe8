"""Averages of weights: over the steps of one training, with its start, and over several models from one start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from transformers import TrainerCallback

from sse.errors import SseError
from sse.modeling import load_model


class MovingAverage(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Keeps ``average = decay * average + (1 - decay) * weights`` and puts it in place at the end.

    The decay is warmed up as ``min(decay, (1 + step) / (10 + step))``, so that the start is forgotten.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, torch.Tensor] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Take the new weights in."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, value in model.state_dict().items():
            if name in self.average:
                self.average[name].lerp_(value.detach(), 1 - decay)
            else:
                self.average[name] = value.detach().clone()

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Use the average."""
        if self.average:
            model.load_state_dict(self.average)


def blend(module: nn.Module, start: Mapping[str, torch.Tensor], share: float) -> None:
    """Set the weights to ``share * start + (1 - share) * weights``.

    Args:
        module: Is changed in place.
        start: State of the module before the training.
        share: 0 to 1.
    """
    module.load_state_dict(
        {name: value.lerp(start[name].to(value), share) for name, value in module.state_dict().items()}
    )


def soup(models: Sequence[str | Path]) -> SentenceTransformer:
    """Average the tables and the DyT of models with the same tokenizer.

    Args:
        models: Directories or Hub ids, two at least. They should come from one start: rows that mean the same in
            different bases cancel each other.

    Returns:
        The first model with the averaged weights.

    Raises:
        SseError: A model is not SSE, or differs from the first in tokenizer or shape.
    """
    if len(models) < 2:
        raise SseError("a soup needs two models at least")
    loaded = [load_model(model) for model in models]
    first = loaded[0][0]
    states = [model[0].state_dict() for model in loaded]
    for name, model, state in zip(models, loaded, states, strict=True):
        if not hasattr(model[0], "dyt") or model[0].tokenizer.to_str() != first.tokenizer.to_str():
            raise SseError(f"{name}: is not an SSE model with the tokenizer of {models[0]}")
        if any(state[key].shape != value.shape for key, value in states[0].items()):
            raise SseError(f"{name}: has not the shape of {models[0]}")
    first.load_state_dict(
        {key: torch.stack([state[key] for state in states]).mean(dim=0) for key in states[0]}
    )
    return loaded[0]
