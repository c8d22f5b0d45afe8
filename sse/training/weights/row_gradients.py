"""Row gradients in the manner of TrAct: how far a text's vector moves should not depend on its length.

Mean pooling divides the gradient of a row by the number of tokens. With pooled counts X and the gradient G of the
pooled vectors, TrAct (arXiv 2410.23970) takes the step that best realises G on the activations,
``X^T (X X^T / b + lambda)^-1 G``; keeping the diagonal, ``|x|^2 ~ 1 / n``, a text of n tokens in a batch of b has its
gradient times ``1 / (1 / (n b) + lambda)``. Here the factors of a batch are divided by their mean.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def level_row_gradients(table: nn.EmbeddingBag, damping: float) -> None:
    """Rescale the gradients of a table's pooled vectors from now on.

    Args:
        table: Called as ``table(ids, offsets)``.
        damping: TrAct's lambda; the smaller, the more long texts gain.
    """

    def scale(module: nn.Module, inputs: tuple[Any, ...], pooled: Tensor) -> None:
        if not pooled.requires_grad:
            return
        ids, offsets = inputs[:2]
        ends = torch.cat([offsets[1:], offsets.new_tensor([len(ids)])])
        lengths = (ends - offsets).clamp_min(1).to(pooled.dtype)
        factors = 1 / (1 / (lengths * len(lengths)) + damping)
        factors /= factors.mean()
        pooled.register_hook(lambda gradient: gradient * factors[:, None])  # type: ignore[no-untyped-call]

    table.register_forward_hook(scale)
