"""The arithmetic of the fused loss: one autograd function that makes the gradients along with the loss."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EPS = 1e-12  # of torch.nn.functional.normalize: a vector is divided by max(norm, EPS)

# exp(scale * cosine) and the sum of thousands of them fit float32 up to here even beside a row divided by EPS;
# beyond, the largest logit of the row is taken off first, which costs two more passes.
LARGEST_UNSHIFTED_SCALE = 40.0


def compute_dtype(vectors: Tensor) -> torch.dtype:
    """float64 for float64 vectors, float32 for all others."""
    return torch.float64 if vectors.dtype == torch.float64 else torch.float32


@dataclass(frozen=True)
class Plan:
    """What the ranking function is to compute; row i's own positive is candidate ``first + i``."""

    dims: tuple[int, ...]
    """Ascending."""
    weights: tuple[float, ...]
    scale: float
    first: int
    groups: list[Tensor]
    """Int (candidates,) each: a row leaves out the others in its positive's group, unless that is -1."""
    limits: Tensor | None
    """(rows, 1) or (1, candidates): a row leaves out candidates whose cosine at the largest dim is above."""
    chunk: int
    low: torch.dtype | None
    """Dtype of the matrix products, or None for that of the rest."""
    gradient: bool
    targets: Tensor | None = None
    """(rows, candidates): what share of a row's target each candidate is, in all 1; None: all is its positive."""
    targets_from: int = 0
    """Dims below this one aim at the positive alone: few columns cannot tell what a teacher tells apart."""
    focal_gamma: float = 0.0
    """A row's loss is weighed by ``(1 - p)^gamma``, p the probability of its positive, without gradient."""


class Ranking(torch.autograd.Function):
    """Loss of ``rows`` (n, width) against ``candidates`` (m, width); the gradients are made along with it.

    The third input is the scale as a tensor if it is learned, else None; its gradient is made too.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, candidates: Tensor, scale: Tensor | None, plan: Plan) -> Tensor:
        """Return the loss, a scalar of the computing dtype, and keep the gradients."""
        dtype = compute_dtype(rows)
        with torch.autocast(rows.device.type, enabled=False):
            loss, gradients = _loss_and_gradients(rows.to(dtype), candidates.to(dtype), plan)
        if gradients is not None:
            d_rows, d_candidates, d_scale = gradients
            ctx.learns_scale = scale is not None
            ctx.save_for_backward(d_rows.to(rows.dtype), d_candidates.to(candidates.dtype), d_scale)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        """Scale the gradients that ``forward`` made."""
        d_rows, d_candidates, d_scale = (d * d_loss.to(d.dtype) for d in ctx.saved_tensors)
        return d_rows, d_candidates, d_scale if ctx.learns_scale else None, None


def _loss_and_gradients(
    rows: Tensor, candidates: Tensor, plan: Plan
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor] | None]:
    """The loss, and its gradients by rows, candidates and scale if the plan asks for them.

    With ``r = 1 / norm`` of the first k columns, the logits of one dim follow from those of the dim before and the
    block of columns between them::

        S_k = (r_k / r_before) S_before (q_k / q_before)^T + scale (r_k A_block) (q_k C_block)^T

    so all dims cost the products of one at full width. Backwards, ``W_k`` sums the derivative by the plain inner
    products over this dim and all larger ones, which is what a block's columns meet::

        dA_block = W C_block - (sum over those dims of r_k^2 sum_j dS S) A_block

    The second term is the derivative through the norms; its sums need no product. W is kept divided by q_k.
    """
    blocks = [slice(start, end) for start, end in zip((0, *plan.dims), plan.dims, strict=False)]
    n, last, positives = len(rows), len(blocks) - 1, slice(plan.first, plan.first + len(rows))
    r, r_slope = _inverse_norms(rows, blocks)
    q, q_slope = _inverse_norms(candidates, blocks)
    r_step, q_step = r[1:] / r[:-1], q[1:] / q[:-1]
    inner = [(rows[:, block] * candidates[positives, block]).sum(dim=1) for block in blocks]
    own = torch.stack(list(accumulate(inner))) * r * q[:, positives] * plan.scale
    normed = [_lowered(candidates[:, block] * q[k, :, None], plan.low) for k, block in enumerate(blocks)]
    shares = (rows.new_tensor(plan.weights)[:, None] / n).repeat(1, n)
    per_product = r * plan.scale

    chunk = min(plan.chunk, n)
    buffers = rows.new_empty(len(blocks), chunk, len(candidates))
    totals, largest = torch.empty_like(r), torch.zeros_like(r)
    if plan.gradient:
        exps_buffer, w_buffer = rows.new_empty(2, chunk, len(candidates))
        d_rows, d_candidates = torch.zeros_like(rows), torch.zeros_like(candidates)
        # sum_j dS S for every dim and row, sum_i dS S for every dim and candidate
        row_sums, candidate_sums = torch.empty_like(r), torch.zeros_like(q)

    for start in range(0, n, chunk):
        part = slice(start, min(start + chunk, n))
        size, diagonal = part.stop - start, slice(plan.first + start, plan.first + part.stop)
        s = buffers[:, :size].unbind()
        for k, block in enumerate(blocks):
            if k:
                torch.mul(s[k - 1], q_step[k - 1], out=s[k]).mul_(r_step[k - 1, part, None])
            scaled = _lowered(rows[part, block] * per_product[k, part, None], plan.low)
            _product(scaled, normed[k].t(), out=s[k], add=k > 0)
        left_out = _left_out(s[last], start, plan)

        aims = None if plan.targets is None else _without(plan.targets[part], left_out)

        for k in range(last, -1, -1):
            # In float32 for bfloat16's sake, whose rounding of a cosine near 1 would move the loss.
            s[k][:, diagonal].diagonal().copy_(own[k, part])
            soft = aims if plan.dims[k] >= plan.targets_from else None
            if soft is not None:
                aimed = soft * s[k]
                own[k, part] = aimed.sum(dim=1)
            if left_out is not None:
                s[k][left_out] = torch.finfo(rows.dtype).min / 4  # not -inf, which times its exp of 0 is NaN
            exps = exps_buffer[:size] if plan.gradient else s[k]
            if plan.scale <= LARGEST_UNSHIFTED_SCALE:
                torch.exp(s[k], out=exps)
            else:
                torch.amax(s[k], dim=1, out=largest[k, part])
                torch.sub(s[k], largest[k, part, None], out=exps).exp_()
            torch.sum(exps, dim=1, out=totals[k, part])
            if plan.focal_gamma:
                missing = 1 - (own[k, part] - largest[k, part]).exp() / totals[k, part]
                shares[k, part] *= missing.clamp_min(0) ** plan.focal_gamma
            if not plan.gradient:
                continue
            if soft is not None:
                candidate_sums[k].sub_(shares[k, part] @ aimed)
            per_exp = shares[k, part] / totals[k, part]
            s[k].mul_(exps)
            torch.sum(s[k], dim=1, out=row_sums[k, part]).mul_(per_exp)
            candidate_sums[k].addmv_(s[k].t(), per_exp)
            w, factor = w_buffer[:size], (per_exp * per_product[k, part])[:, None]
            if k == last:
                torch.mul(exps, factor, out=w)
            else:
                w.mul_(q_step[k]).addcmul_(exps, factor)
            if soft is None:
                w[:, diagonal].diagonal().sub_(shares[k, part] * per_product[k, part])
            else:
                w.addcmul_(soft, (shares[k, part] * per_product[k, part])[:, None], value=-1)
            w_low, a_low = _lowered(w, plan.low), _lowered(rows[part, blocks[k]], plan.low)
            _product(w_low, normed[k], out=d_rows[part, blocks[k]], add=False)
            _product(w_low.t(), a_low, out=d_candidates[:, blocks[k]], add=True)

    loss = ((totals.log() + largest - own) * shares).sum()
    if not plan.gradient:
        return loss, None
    row_sums -= own * shares
    d_scale = row_sums.sum() / plan.scale
    for k, dim in enumerate(plan.dims):
        if plan.targets is None or dim < plan.targets_from:
            candidate_sums[k, positives] -= own[k] * shares[k]
    row_radial, candidate_radial = torch.zeros_like(r[0]), torch.zeros_like(q[0])
    for k in range(last, -1, -1):
        block = blocks[k]
        row_radial.addcmul_(r_slope[k], row_sums[k])
        candidate_radial.addcmul_(q_slope[k], candidate_sums[k])
        d_rows[:, block].addcmul_(rows[:, block], row_radial[:, None], value=-1)
        d_candidates[:, block].mul_(q[k, :, None])
        d_candidates[:, block].addcmul_(candidates[:, block], candidate_radial[:, None], value=-1)
    return loss, (d_rows, d_candidates, d_scale)


def _inverse_norms(vectors: Tensor, blocks: list[slice]) -> tuple[Tensor, Tensor]:
    """``1 / max(norm, EPS)`` of the columns up to each block's end, (blocks, rows), and its slope factor.

    The derivative of the first by a vector x is minus the first times the second times x.
    """
    squares = [torch.linalg.vector_norm(vectors[:, block], dim=1).square() for block in blocks]
    norms = torch.stack(list(accumulate(squares))).sqrt()
    inverse = norms.clamp_min(EPS).reciprocal()
    return inverse, torch.where(norms >= EPS, inverse.square(), 0)


def _left_out(logits: Tensor, start: int, plan: Plan) -> tuple[Tensor, Tensor] | None:
    """Rows and candidates of the pairs to mask, int64 (pairs,) each, or None if nothing can be masked.

    Args:
        logits: At the largest dim, (size, candidates), of the rows from ``start`` on.
        start: Row number of the first of them.
        plan: Says what to mask.
    """
    mine, found = slice(plan.first + start, plan.first + start + len(logits)), []
    for group in plan.groups:
        # Few rows are in a group, and only these are compared with all candidates.
        members = (group[mine] >= 0).nonzero().squeeze(1)
        pairs = (group[mine][members, None] == group).nonzero()
        found.append(torch.stack([members[pairs[:, 0]], pairs[:, 1]], dim=1))
    if plan.limits is not None:
        limits = plan.limits[start : start + len(logits)] if len(plan.limits) > 1 else plan.limits
        found.append((logits > limits * plan.scale).nonzero())
    if not found:
        return None
    rows, candidates = torch.cat(found).unbind(dim=1)
    others = candidates != rows + mine.start
    return rows[others], candidates[others]


def _without(targets: Tensor, left_out: tuple[Tensor, Tensor] | None) -> Tensor:
    """The targets of a part with nothing on masked candidates; the row's own positive is never masked."""
    if left_out is None:
        return targets
    targets = targets.clone()
    targets[left_out] = 0
    return targets.div_(targets.sum(dim=1, keepdim=True))


def _lowered(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    return x if dtype is None else x.to(dtype)


def _product(x: Tensor, y: Tensor, *, out: Tensor, add: bool) -> None:
    """Write ``x @ y`` into ``out`` or add it; where they are of a lower dtype, only the product is."""
    if x.dtype == out.dtype:
        if add:
            out.addmm_(x, y)
        else:
            torch.mm(x, y, out=out)
    elif add:
        out.add_(torch.mm(x, y))
    else:
        out.copy_(torch.mm(x, y))
