"""The training loss: ranking against in-batch negatives at several dims at once, in one autograd function.

It gives what ``MatryoshkaLoss`` around ``MultipleNegativesRankingLoss`` of sentence-transformers gives, for one
full-width matrix product instead of one for every dim, in bounded memory, and it can leave out candidates that
are no negatives at all. It does not embed in pieces (GradCache), weight negatives or distil from a teacher.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from sentence_transformers.util import all_gather, all_gather_with_grad
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

EPS = 1e-12  # of torch.nn.functional.normalize: a vector is divided by max(norm, EPS)

# exp(scale * cosine) and the sum of thousands of them fit float32 up to here even beside a row divided by EPS;
# beyond, the largest logit of the row is taken off first, which costs two more passes.
LARGEST_UNSHIFTED_SCALE = 40.0

# Rows at once: what fits a buffer of so many elements, within bounds. CPU: within 10 % of the best of 32 to 1024
# rows at 512 to 16k candidates, one thread or two, float32 or bfloat16; where that left a choice the larger, since
# every operation is a barrier, and barriers are slow on a busy machine. GPU: not measured; 0.5 GB at five dims.
CPU_ELEMENTS, GPU_ELEMENTS, FEWEST_ROWS, MOST_CPU_ROWS = 2**21, 2**24, 256, 512


class FusedMatryoshkaMNRL(nn.Module):
    """Ranking loss (InfoNCE over in-batch negatives) summed over Matryoshka dims, for ``SentenceTransformerTrainer``.

    With anchors ``a_i``, positives ``p_i`` and any number of hard-negative columns, the candidates ``c_j`` are
    all positives and then all negatives, column by column, and the loss is::

        sum over k in dims of  weight_k * mean over i of ( log sum over j of exp(s_ij) - s_ii )
        s_ij = scale * cos(a_i[:k], c_j[:k])

    That is ``MatryoshkaLoss(model, MultipleNegativesRankingLoss(model, scale), dims, weights)`` of
    sentence-transformers (arXiv 1807.03748 and 2205.13147), in value and gradient, when nothing is masked. A zero
    vector has cosine 0 with everything, as with ``torch.nn.functional.normalize``.

    ``symmetric=True`` averages it with the other direction, in which each positive ranks all anchors::

        weight_k * mean over i of ( (log sum over j of exp(s_ij) + log sum over anchors l of exp(s_li)) / 2 - s_ii )

    the ``directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"`` of sentence-transformers
    5.3 and later. Hard negatives take part only as candidates of the first direction.

    Masking removes candidate j from row i's sum; the row's own positive always stays. Any of these removes it:

    - ``mask_same_text``: c_j equals p_i bit for bit (the same text, or the same tokens pooled alike), or
      c_j is the positive of an anchor that equals a_i bit for bit (the same question). Vectors are compared by
      64-bit hashes of their full width.
    - ``labels``: c_j is the positive of another row with the same id as row i; equal ids mean the same document.
    - ``false_negative_margin``: cos(a_i, c_j) > cos(a_i, p_i) + margin at the largest of the dims, without
      gradient; the model guides itself, where GISTEmbed (arXiv 2402.16829) asks another model. A negative margin
      also removes candidates just below the positive.

    The second direction has the same masks transposed: anchor l leaves positive i's sum if p_i left l's.

    Under ``torch.autocast`` to bfloat16 the matrix products run in bfloat16 and all else in float32, the cosine of
    a row with its positive too. Under float16 all runs in float32: the gradient of a softmax over thousands of
    candidates does not fit into float16.

    Args:
        model: Maps a feature dict to one with ``sentence_embedding``, float (batch, width).
        dims: Leading dims to train, all different, none above the width. Columns beyond the largest get no gradient.
        weights: One weight for each of the dims, or None for 1 each.
        scale: Inverse of the temperature.
        symmetric: Add the document-to-query direction.
        mask_same_text: See above.
        false_negative_margin: See above; None masks nothing.
        gather: With several processes, rank against the candidates of all of them, with gradient. The mean over
            processes of the loss, and of the gradient as DistributedDataParallel takes it, is then that of the
            whole batch. All processes need equally many rows. With one process it does nothing.
        row_chunk: Rows to hold logits of at once, len(dims) + 2 float buffers of row_chunk x candidates.
            None chooses for speed. It does not change the result beyond rounding.

    Raises:
        ValueError: An argument is out of its range, or one of the dims above the model's width.

    Example:
        >>> vectors = torch.eye(3)[:2]
        >>> loss = FusedMatryoshkaMNRL(lambda features: features, dims=[3], scale=1.0)
        >>> loss([{"sentence_embedding": vectors}, {"sentence_embedding": vectors}])  # log(1 + 1 / e)
        tensor(0.3133)
    """

    def __init__(
        self,
        model: Any,
        dims: Sequence[int] = (512, 256, 128, 64, 32),
        weights: Sequence[float] | None = None,
        scale: float = 20.0,
        symmetric: bool = False,
        mask_same_text: bool = True,
        false_negative_margin: float | None = None,
        gather: bool = False,
        row_chunk: int | None = None,
    ) -> None:
        super().__init__()
        if not dims or min(dims) < 1 or len(set(dims)) < len(dims):
            raise ValueError(f"dims must be positive and all different, got {list(dims)}")
        if weights is None:
            weights = [1.0] * len(dims)
        if len(weights) != len(dims) or not all(map(math.isfinite, weights)):
            raise ValueError(
                f"weights must be {len(dims)} finite numbers, one for each of the dims, got {list(weights)}"
            )
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be positive, got {scale}")
        if row_chunk is not None and row_chunk < 1:
            raise ValueError(f"row_chunk must be at least 1 or None, got {row_chunk}")
        if false_negative_margin is not None and not math.isfinite(false_negative_margin):
            raise ValueError(f"false_negative_margin must be a number or None, got {false_negative_margin}")
        self.model = model
        pairs = sorted(zip(dims, weights, strict=True))
        self.dims = tuple(int(dim) for dim, _ in pairs)
        self.weights = tuple(float(weight) for _, weight in pairs)
        self.scale = float(scale)
        self.symmetric = symmetric
        self.mask_same_text = mask_same_text
        self.false_negative_margin = false_negative_margin
        self.gather = gather
        self.row_chunk = row_chunk
        # get_embedding_dimension is the name since sentence-transformers 5.4
        for name in ("get_embedding_dimension", "get_sentence_embedding_dimension"):
            if hasattr(model, name):
                self._check_width(getattr(model, name)())
                break

    def _check_width(self, width: int | None) -> None:
        if width is not None and self.dims[-1] > width:
            raise ValueError(f"dims has {self.dims[-1]}, but the model's vectors have {width} columns")

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        """Embed the columns and return their loss.

        Columns of flat features (``input_ids`` and ``offsets``, nothing else) are embedded in one call of the model.

        Args:
            sentence_features: One feature dict for each column: anchors, positives, then any number of negatives.
            labels: Ids of the positives' documents, an integer tensor (batch,), or None.

        Returns:
            A scalar; float64 if the vectors are, else float32.

        Raises:
            ValueError: Fewer than two columns, columns of unequal shape, one of the dims above their width, labels
                that are no ids, or processes with unequal batches.
        """
        columns = self._embed(list(sentence_features))
        if len(columns) < 2:
            raise ValueError(f"the loss needs anchors and positives, got {len(columns)} column(s)")
        shapes = [tuple(column.shape) for column in columns]
        if len(set(shapes)) > 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
            raise ValueError(f"the columns must be matrices of equal shapes and not empty, got {shapes}")
        self._check_width(columns[0].shape[1])
        anchors, positives, first = columns[0], columns[1], 0
        ids = self._ids(columns, labels)
        if self.gather and (processes := _processes()) > 1:
            _check_equal_batches([len(anchors), len(columns), len(ids)], anchors.device)
            first = torch.distributed.get_rank() * len(anchors)
            sent = torch.stack(columns if self.symmetric else columns[1:])
            received = all_gather_with_grad(sent).unflatten(0, (processes, len(sent)))
            columns = [*columns[: len(columns) - len(sent)], *received.transpose(0, 1).flatten(1, 2)]
            ids = [all_gather(column) for column in ids]
        candidates = torch.cat(columns[1:]) if len(columns) > 2 else columns[1]
        groups = self._groups(ids, len(columns) - 1)

        loss = self._rank(anchors, candidates, first, groups, self._limits(anchors, positives, column=True))
        if not self.symmetric:
            return loss
        groups = [group[: len(columns[0])] for group in groups]
        other = self._rank(
            positives, columns[0], first, groups, self._limits(columns[0], columns[1], column=False)
        )
        return (loss + other) / 2

    def _embed(self, columns: list[dict[str, Tensor]]) -> list[Tensor]:
        """Embed columns of flat features in one call: a table then gets one dense gradient, not one a column."""
        if any(
            set(features) != {"input_ids", "offsets"} or features["input_ids"].ndim > 1
            for features in columns
        ):
            return [self.model(features)["sentence_embedding"] for features in columns]
        starts = accumulate((len(features["input_ids"]) for features in columns), initial=0)
        merged = {
            "input_ids": torch.cat([features["input_ids"] for features in columns]),
            "offsets": torch.cat([f["offsets"] + start for f, start in zip(columns, starts, strict=False)]),
        }
        vectors: Tensor = self.model(merged)["sentence_embedding"]
        return list(torch.split(vectors, [len(features["offsets"]) for features in columns]))

    def _ids(self, columns: list[Tensor], labels: Tensor | None) -> list[Tensor]:
        """int64 ids (batch,): of each candidate column and of the anchors if texts are compared, then the labels."""
        ids = [_hash_rows(column) for column in [*columns[1:], columns[0]]] if self.mask_same_text else []
        if labels is not None:
            if labels.shape != (len(columns[0]),) or labels.is_floating_point() or labels.is_complex():
                raise ValueError(
                    f"labels must be {len(columns[0])} whole-number ids, got {labels.dtype} {tuple(labels.shape)}"
                )
            ids.append(labels.to(columns[0].device, torch.int64))
        return ids

    def _groups(self, ids: list[Tensor], candidate_columns: int) -> list[Tensor]:
        """Groups (candidates,): a row leaves out what shares its positive's group; -1 is no group."""
        if not ids:
            return []
        candidates = candidate_columns * len(ids[0])
        if self.mask_same_text:
            ids = [torch.cat(ids[:candidate_columns]), *ids[candidate_columns:]]
        groups = []
        for values in ids:
            _, group, sizes = torch.unique(values, return_inverse=True, return_counts=True)
            if len(sizes) < len(values):
                group = torch.where(sizes[group] > 1, group, -1)
                # Anchors and labels belong to positives, which come first; negatives have none.
                groups.append(nn.functional.pad(group, (0, candidates - len(group)), value=-1))
        return groups

    def _limits(self, anchors: Tensor, positives: Tensor, column: bool) -> Tensor | None:
        """The largest cosine that a candidate of each anchor may have, as a column or a row."""
        if self.false_negative_margin is None:
            return None
        dim, dtype = self.dims[-1], _compute_dtype(anchors)
        a, p = (nn.functional.normalize(x.detach()[:, :dim].to(dtype)) for x in (anchors, positives))
        return ((a * p).sum(dim=1) + self.false_negative_margin).unsqueeze(1 if column else 0)

    def _rank(
        self, rows: Tensor, candidates: Tensor, first: int, groups: list[Tensor], limits: Tensor | None
    ) -> Tensor:
        kind = rows.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        chunk = (CPU_ELEMENTS if kind == "cpu" else GPU_ELEMENTS) // len(candidates)
        chunk = max(FEWEST_ROWS, min(chunk, MOST_CPU_ROWS) if kind == "cpu" else chunk)
        plan = _Plan(
            dims=self.dims,
            weights=self.weights,
            scale=self.scale,
            first=first,
            groups=groups,
            limits=limits,
            chunk=self.row_chunk or chunk,
            low=low if low == torch.bfloat16 and _compute_dtype(rows) == torch.float32 else None,
            gradient=torch.is_grad_enabled() and (rows.requires_grad or candidates.requires_grad),
        )
        loss: Tensor = _Ranking.apply(rows, candidates, plan)  # type: ignore[no-untyped-call]
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """The arguments that determine the loss, for the model card."""
        return {
            "dims": list(self.dims),
            "weights": list(self.weights),
            "scale": self.scale,
            "symmetric": self.symmetric,
            "mask_same_text": self.mask_same_text,
            "false_negative_margin": self.false_negative_margin,
            "gather": self.gather,
        }

    @property
    def citation(self) -> str:
        """BibTeX of the papers that the loss comes from, for the model card."""
        return """
@misc{oord2019representationlearningcontrastivepredictive,
    title={Representation Learning with Contrastive Predictive Coding},
    author={Aaron van den Oord and Yazhe Li and Oriol Vinyals},
    year={2019},
    eprint={1807.03748},
    archivePrefix={arXiv},
    primaryClass={cs.LG}
}

@misc{kusupati2024matryoshka,
    title={Matryoshka Representation Learning},
    author={Aditya Kusupati and Gantavya Bhatt and Aniket Rege and Matthew Wallingford and Aditya Sinha
        and Vivek Ramanujan and William Howard-Snyder and Kaifeng Chen and Sham Kakade and Prateek Jain
        and Ali Farhadi},
    year={2024},
    eprint={2205.13147},
    archivePrefix={arXiv},
    primaryClass={cs.LG}
}
"""


def _compute_dtype(vectors: Tensor) -> torch.dtype:
    return torch.float64 if vectors.dtype == torch.float64 else torch.float32


def _processes() -> int:
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


def _check_equal_batches(shape: list[int], device: torch.device) -> None:
    """Say so where processes differ: the collectives that follow would hang or mix rows up."""
    shapes = all_gather(torch.tensor([shape], device=device)).tolist()
    if any(other != shape for other in shapes):
        raise ValueError(f"processes have unequal batches (rows, columns, kinds of ids): {shapes}")


def _hash_rows(vectors: Tensor) -> Tensor:
    """64-bit hashes (rows,) of the bits of each row; 0.0 and -0.0 count as equal.

    A multiply-sum over the row's words with fixed random odd numbers, modulo 2^64. Words are at most 32 bits: the
    top bit of a 64-bit word times an odd number is always that bit, so two flipped signs would cancel.
    """
    words = (
        (vectors.detach() + 0.0)
        .contiguous()
        .view(torch.int32 if vectors.element_size() >= 4 else torch.int16)
    )
    generator = torch.Generator().manual_seed(0)
    factors = (
        torch.randint(-(2**63), 2**63 - 1, (words.shape[1],), generator=generator, dtype=torch.int64) | 1
    )
    return (words.to(torch.int64) * factors.to(words.device)).sum(dim=1)


@dataclass(frozen=True)
class _Plan:
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


class _Ranking(torch.autograd.Function):
    """Loss of ``rows`` (n, width) against ``candidates`` (m, width); the gradients are made along with it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, candidates: Tensor, plan: _Plan) -> Tensor:
        dtype = _compute_dtype(rows)
        with torch.autocast(rows.device.type, enabled=False):
            loss, d_rows, d_candidates = _loss_and_gradients(rows.to(dtype), candidates.to(dtype), plan)
        if d_rows is not None and d_candidates is not None:
            ctx.save_for_backward(d_rows.to(rows.dtype), d_candidates.to(candidates.dtype))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor, Tensor, None]:
        d_rows, d_candidates = ctx.saved_tensors
        return d_rows * d_loss.to(d_rows.dtype), d_candidates * d_loss.to(d_candidates.dtype), None


def _loss_and_gradients(
    rows: Tensor, candidates: Tensor, plan: _Plan
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The loss, and its gradients by rows and candidates if the plan asks for them.

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
    shares = rows.new_tensor(plan.weights)[:, None] / n
    per_product = r * plan.scale

    chunk = min(plan.chunk, n)
    # One by one: below 32 MB glibc hands the same pages out again at the next step instead of fresh ones.
    buffers = rows.new_empty(len(blocks), chunk, len(candidates))
    exps_buffer, w_buffer = rows.new_empty(2, chunk, len(candidates))
    totals, largest = torch.empty_like(r), torch.zeros_like(r)
    if plan.gradient:
        d_rows, d_candidates = torch.zeros_like(rows), torch.zeros_like(candidates)
        # sum_j dS S for every dim and row, sum_i dS S for every dim and candidate
        row_sums, candidate_sums = torch.empty_like(r), torch.zeros_like(q)

    for start in range(0, n, chunk):
        part = slice(start, min(start + chunk, n))
        size, diagonal = part.stop - start, slice(plan.first + start, plan.first + part.stop)
        s = [buffer[:size] for buffer in buffers]
        for k, block in enumerate(blocks):
            if k:
                torch.mul(s[k - 1], q_step[k - 1], out=s[k]).mul_(r_step[k - 1, part, None])
            scaled = _lowered(rows[part, block] * per_product[k, part, None], plan.low)
            _product(scaled, normed[k].t(), out=s[k], add=k > 0)
        left_out = _left_out(s[last], start, plan)

        for k in range(last, -1, -1):
            # In float32 for bfloat16's sake, whose rounding of a cosine near 1 would move the loss.
            s[k][:, diagonal].diagonal().copy_(own[k, part])
            if left_out is not None:
                s[k][left_out] = torch.finfo(rows.dtype).min / 4  # not -inf, which times its exp of 0 is NaN
            exps = exps_buffer[:size] if plan.gradient else s[k]
            if plan.scale <= LARGEST_UNSHIFTED_SCALE:
                torch.exp(s[k], out=exps)
            else:
                torch.amax(s[k], dim=1, out=largest[k, part])
                torch.sub(s[k], largest[k, part, None], out=exps).exp_()
            torch.sum(exps, dim=1, out=totals[k, part])
            if not plan.gradient:
                continue
            per_exp = shares[k] / totals[k, part]
            s[k].mul_(exps)
            torch.sum(s[k], dim=1, out=row_sums[k, part]).mul_(per_exp)
            candidate_sums[k].addmv_(s[k].t(), per_exp)
            w, factor = w_buffer[:size], (per_exp * per_product[k, part])[:, None]
            if k == last:
                torch.mul(exps, factor, out=w)
            else:
                w.mul_(q_step[k]).addcmul_(exps, factor)
            w[:, diagonal].diagonal().sub_(shares[k] * per_product[k, part])
            w_low, a_low = _lowered(w, plan.low), _lowered(rows[part, blocks[k]], plan.low)
            _product(w_low, normed[k], out=d_rows[part, blocks[k]], add=False)
            _product(w_low.t(), a_low, out=d_candidates[:, blocks[k]], add=True)

    loss = ((totals.log() + largest - own) * shares).sum()
    if not plan.gradient:
        return loss, None, None
    row_sums -= own * shares
    candidate_sums[:, positives] -= own * shares
    row_radial, candidate_radial = torch.zeros_like(r[0]), torch.zeros_like(q[0])
    for k in range(last, -1, -1):
        block = blocks[k]
        row_radial.addcmul_(r_slope[k], row_sums[k])
        candidate_radial.addcmul_(q_slope[k], candidate_sums[k])
        d_rows[:, block].addcmul_(rows[:, block], row_radial[:, None], value=-1)
        d_candidates[:, block].mul_(q[k, :, None])
        d_candidates[:, block].addcmul_(candidates[:, block], candidate_radial[:, None], value=-1)
    return loss, d_rows, d_candidates


def _inverse_norms(vectors: Tensor, blocks: list[slice]) -> tuple[Tensor, Tensor]:
    """``1 / max(norm, EPS)`` of the columns up to each block's end, (blocks, rows), and its slope factor.

    The derivative of the first by a vector x is minus the first times the second times x.
    """
    squares = [torch.linalg.vector_norm(vectors[:, block], dim=1).square() for block in blocks]
    norms = torch.stack(list(accumulate(squares))).sqrt()
    inverse = norms.clamp_min(EPS).reciprocal()
    return inverse, torch.where(norms >= EPS, inverse.square(), 0)


def _left_out(logits: Tensor, start: int, plan: _Plan) -> tuple[Tensor, Tensor] | None:
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
