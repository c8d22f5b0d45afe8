"""Losses for sources whose other rows are no negatives: scored pairs, and triplets of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

try:  # sentence-transformers >= 5.4
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss, MatryoshkaLoss
except ImportError:  # sentence-transformers 5.2 and 5.3
    from sentence_transformers.losses import CoSENTLoss, MatryoshkaLoss


class OwnNegativesLoss(nn.Module):
    """InfoNCE of each anchor over its own positive and negatives, nothing else of the batch, at several dims.

    Args:
        model: Maps a feature dict to one with ``sentence_embedding``, float (batch, width).
        dims: Leading dims to train.
        weights: One weight for each of the dims, or None for 1 each.
        scale: Inverse of the temperature.
    """

    def __init__(
        self, model: Any, dims: Sequence[int], weights: Sequence[float] | None = None, scale: float = 20.0
    ) -> None:
        super().__init__()
        self.model = model
        self.dims = tuple(dims)
        self.weights = tuple(weights or [1.0] * len(self.dims))
        self.scale = scale

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        """Return the loss of columns anchor, positive, negatives: a scalar."""
        anchors, *others = (self.model(features)["sentence_embedding"] for features in sentence_features)
        if len(others) < 2:
            raise ValueError("without in-batch negatives a source needs negatives of its own, or scores")
        target = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
        loss: Tensor = anchors.new_zeros(())
        for dim, weight in zip(self.dims, self.weights, strict=True):
            cosines = [nn.functional.cosine_similarity(anchors[:, :dim], other[:, :dim]) for other in others]
            logits = torch.stack(cosines, dim=1) * self.scale
            loss = loss + weight * nn.functional.cross_entropy(logits, target)
        return loss


def scored_loss(
    model: SentenceTransformer, dims: Sequence[int], weights: Sequence[float] | None, scale: float
) -> nn.Module:
    """CoSENT (Su 2022) at several dims: of two pairs the one with the higher score should be the nearer one."""
    loss: nn.Module = MatryoshkaLoss(
        model,
        CoSENTLoss(model, scale=scale),
        matryoshka_dims=list(dims),
        matryoshka_weights=list(weights) if weights else None,
    )
    return loss
