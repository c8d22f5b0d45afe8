"""Synthetic negatives: convex mixes of the candidates that are hardest for a row (KaLM-Embedding-V2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def mix_hardest(
    anchors: Tensor, candidates: Tensor, first: int, groups: Sequence[Tensor], dim: int
) -> Tensor:
    """Mix the two hardest negatives of each anchor in random shares, with gradient to both.

    Args:
        anchors: Float (n, width).
        candidates: Float (m, width); anchor i's positive is number ``first + i``.
        first: See above.
        groups: Int (m,) each; candidates in the group of an anchor's positive are no negatives, -1 is no group.
        dim: The cosine that decides is that of the first so many columns.

    Returns:
        Float (n, width), sums of two vectors of length 1; (0, width) with fewer than three candidates.
    """
    if len(candidates) < 3:
        return candidates[:0]
    own = torch.arange(first, first + len(anchors), device=anchors.device)
    with torch.no_grad():
        a, c = (nn.functional.normalize(x[:, :dim].float()) for x in (anchors, candidates))
        scores = a @ c.t()
        scores[torch.arange(len(own), device=own.device), own] = -torch.inf
        for group in groups:
            scores[(group[own, None] == group) & (group >= 0)] = -torch.inf
        hardest = scores.topk(2, dim=1).indices
    share = torch.rand(len(anchors), 1, device=anchors.device, dtype=candidates.dtype)
    one, other = (nn.functional.normalize(candidates[hardest[:, k]]) for k in (0, 1))
    return share * one + (1 - share) * other
