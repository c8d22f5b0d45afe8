"""Targets that a teacher shares out over the candidates of a batch, in place of all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

K1, B = 0.9, 0.4


class Teacher(Protocol):
    """Scores candidates for the rows of a batch."""

    def scores(self, columns: Sequence[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        """Score, float32 (rows, candidates), every positive and then every negative, column by column.

        Args:
            columns: Flat features of anchors, positives and negatives.
            labels: The labels of the rows.
        """


class LexicalTeacher(nn.Module):
    """BM25 over token ids: rare shared tokens count most, repetition and length are damped (k1 = 0.9, b = 0.4).

    Scores are divided by the score that the row's text would give itself as a document of mean length, so 1 is a
    candidate with all of the row's tokens, once each.

    Args:
        idf: Inverse document frequency of every token, float (vocabulary,).
        mean_length: Tokens in a document.
    """

    def __init__(self, idf: Tensor, mean_length: float) -> None:
        super().__init__()
        self.register_buffer("idf", idf.to(torch.float32), persistent=False)
        self.mean_length = mean_length

    @torch.no_grad()
    def scores(self, columns: Sequence[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        """See ``Teacher``."""
        idf: Tensor = self.idf  # type: ignore[assignment]
        rows, row_of = columns[0]["input_ids"], text_numbers(columns[0])
        size = len(columns[0]["offsets"])
        # Only tokens of the anchors can score: they are numbered anew.
        used, rows = torch.unique(rows, return_inverse=True)
        place = torch.full((len(idf),), -1, dtype=torch.int64, device=idf.device)
        place[used] = torch.arange(len(used), device=idf.device)
        weights = torch.zeros(len(used), size * (len(columns) - 1), device=idf.device)
        for number, column in enumerate(columns[1:]):
            tokens, texts = place[column["input_ids"]], text_numbers(column)
            lengths = torch.bincount(texts, minlength=size)
            known = tokens >= 0
            cells = tokens[known] * weights.shape[1] + texts[known] + number * size
            cells, counts = torch.unique(cells, return_counts=True)
            length = lengths[cells % weights.shape[1] - number * size]
            damped = counts + K1 * (1 - B + B * length / self.mean_length)
            weights.view(-1)[cells] = counts * (K1 + 1) / damped * idf[used[cells // weights.shape[1]]]
        scores = nn.functional.embedding_bag(rows, weights, columns[0]["offsets"], mode="sum")
        own = torch.zeros(size, device=idf.device).index_add_(0, row_of, idf[columns[0]["input_ids"]])
        return scores / own.clamp_min(1e-6)[:, None]


def text_numbers(column: dict[str, Tensor]) -> Tensor:
    """The number of the text of each token, int64 (tokens,)."""
    offsets = column["offsets"]
    ends = torch.cat([offsets[1:], offsets.new_tensor([len(column["input_ids"])])])
    return torch.repeat_interleave(torch.arange(len(offsets), device=offsets.device), ends - offsets)


def shared_out(scores: Tensor, weight: float, scale: float) -> Tensor:
    """Targets: ``weight`` of each row by ``softmax(scale * scores)``, the rest on its own positive.

    Args:
        scores: Of a teacher, (rows, candidates); row i's positive is candidate i.
        weight: 0 to 1.
        scale: Inverse of the teacher's temperature.
    """
    targets = torch.softmax(scores * scale, dim=1).mul_(weight)
    targets.diagonal().add_(1 - weight)
    return targets
