"""An auxiliary loss: the words of a passage are to be found from its vector (in the manner of DupMAE, 2305.02564)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sse.training.loss.soft_targets import text_numbers

SAMPLED = 4096


class BagOfWordsLoss(nn.Module):
    """Cross entropy between the tokens that a vector predicts and those that the text has, weighed by idf.

    ``-sum over tokens t of the text of share_t * log softmax_t(vector @ decoder)``, ``share_t`` the idf of t over the
    sum of the idf of the text's different tokens. The softmax runs over at most 4096 tokens of the batch, drawn
    without replacement. The decoder is a table of its own, which is dropped after the training.

    Args:
        idf: Float (vocabulary,).
        dim: Width of the vectors.
    """

    def __init__(self, idf: Tensor, dim: int) -> None:
        super().__init__()
        self.register_buffer("idf", idf.to(torch.float32), persistent=False)
        self.decoder = nn.Parameter(torch.zeros(len(idf), dim))

    def forward(self, vectors: Tensor, features: dict[str, Tensor]) -> Tensor:
        """Return the mean loss of the texts that hold a sampled token.

        Args:
            vectors: Float (texts, dim).
            features: Flat features of the same texts.
        """
        idf: Any = self.idf
        tokens, cells = torch.unique(features["input_ids"], return_inverse=True)
        place = torch.full((len(tokens),), -1, device=tokens.device)
        drawn = torch.randperm(len(tokens), device=tokens.device)[:SAMPLED]
        place[drawn] = torch.arange(len(drawn), device=tokens.device)
        columns, rows = place[cells], text_numbers(features)
        kept = columns >= 0
        shares = vectors.new_zeros(len(vectors), len(drawn))
        shares[rows[kept], columns[kept]] = idf[tokens[drawn]][columns[kept]]
        total = shares.sum(dim=1, keepdim=True)
        logits = nn.functional.normalize(vectors) @ self.decoder[tokens[drawn]].t()
        losses = -(shares / total.clamp_min(1e-6) * logits.log_softmax(dim=1)).sum(dim=1)
        return losses.sum() / (total > 0).sum().clamp_min(1)
