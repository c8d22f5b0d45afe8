"""Recipe in, trained model out. Names are imported when they are first used; a recipe alone needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sse.lazy import lazy

if TYPE_CHECKING:
    from sse.training.loss.fused import FusedMatryoshkaMNRL
    from sse.training.recipe import Recipe
    from sse.training.run import TrainResult, train
    from sse.training.start.vocabulary import load_tokenizer, train_wordpiece
    from sse.training.trainer import SSETrainer

__all__ = [
    "FusedMatryoshkaMNRL",
    "Recipe",
    "SSETrainer",
    "TrainResult",
    "load_tokenizer",
    "train",
    "train_wordpiece",
]

_HOMES = {
    "FusedMatryoshkaMNRL": "sse.training.loss.fused",
    "Recipe": "sse.training.recipe",
    "SSETrainer": "sse.training.trainer",
    "TrainResult": "sse.training.run",
    "load_tokenizer": "sse.training.start.vocabulary",
    "train": "sse.training.run",
    "train_wordpiece": "sse.training.start.vocabulary",
}

__getattr__ = lazy(__name__, _HOMES, needs="pydantic")
