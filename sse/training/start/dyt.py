"""Variants of the DyT that need no other format: its parameters are set, tied or frozen for the training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sse.modeling import SSE

LINEAR_ALPHA = 1e-3  # tanh(1e-3 x) / 1e-3 is x to 3e-7 x^3


def prepare_dyt(module: SSE, kind: str, alpha_from: Sequence[str] = ()) -> None:
    """Set up the DyT of a module that is going to be trained.

    Args:
        module: The module, with its starting table.
        kind: ``"separable"``: one alpha, beta and bias for each dimension. ``"shared"``: one alpha for all, the rest
            as before (its gradient is averaged, so the values stay equal). ``"linear"``: no DyT in effect, the tanh is
            kept to where it is a straight line, and nothing of it is trained.
        alpha_from: Texts; each alpha then starts at ``1 / mean |x|`` of its dimension's pooled values over them.
    """
    dyt = module.dyt
    if alpha_from:
        with torch.no_grad():
            pooled = _pooled(module, list(alpha_from))
            dyt.alpha.copy_(1 / pooled.abs().mean(dim=0).clamp_min(1e-6))
    if kind == "shared":
        with torch.no_grad():
            dyt.alpha.fill_(float(dyt.alpha.mean()))
        dyt.alpha.register_hook(_averaged)  # type: ignore[no-untyped-call]
    elif kind == "linear":
        with torch.no_grad():
            dyt.alpha.fill_(LINEAR_ALPHA)
            dyt.beta.fill_(1 / LINEAR_ALPHA)
            dyt.bias.zero_()
        for parameter in dyt.parameters():
            parameter.requires_grad_(False)


def _pooled(module: SSE, texts: list[str]) -> Tensor:
    """What reaches the DyT, float (texts, dim)."""
    found: list[Tensor] = []
    hook = module.dyt.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    try:
        module(module.preprocess(texts))
    finally:
        hook.remove()
    return found[0]


def _averaged(gradient: Tensor) -> Tensor:
    return gradient.mean().expand_as(gradient)
