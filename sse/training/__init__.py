"""Recipe in, trained model out."""

from sse.training.losses import FusedMatryoshkaMNRL
from sse.training.recipe import Recipe
from sse.training.run import TrainResult, train
from sse.training.trainer import SSETrainer
from sse.training.vocabulary import load_tokenizer, train_wordpiece

__all__ = [
    "FusedMatryoshkaMNRL",
    "Recipe",
    "SSETrainer",
    "TrainResult",
    "load_tokenizer",
    "train",
    "train_wordpiece",
]
