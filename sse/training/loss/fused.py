"""The training loss: ranking against in-batch negatives at several dims at once.

It gives what ``MatryoshkaLoss`` around ``MultipleNegativesRankingLoss`` of sentence-transformers gives, for one
full-width matrix product instead of one for every dim, in bounded memory, and it can leave out candidates that
are no negatives at all. A teacher may share out the target. It does not embed in pieces (GradCache).
The arithmetic is in ranking.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import torch
from sentence_transformers.util import all_gather, all_gather_with_grad
from torch import Tensor, nn

from sse.training.loss.bag_of_words import BagOfWordsLoss
from sse.training.loss.mixing import mix_hardest
from sse.training.loss.ranking import Plan, Ranking, compute_dtype
from sse.training.loss.soft_targets import Teacher, shared_out

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
        teacher: Scores the candidates of a batch from the columns' flat features (see soft_targets.py). The target of
            row i is then ``teacher_weight * softmax_j(teacher_scale * score_ij)`` and the rest on its positive, in
            place of all on its positive: the cross entropy of that with the softmax above, at every dim.
        teacher_weight: 0 to 1.
        teacher_scale: Inverse of the teacher's temperature.
        teacher_from_dim: Dims below this one aim at the positive alone.
        focal_gamma: Weigh row i's loss by ``(1 - p_i)^gamma``, without gradient; p_i is what the softmax gives its
            positive (arXiv 1708.02002).
        learn_scale: Train the scale, as its logarithm, from ``scale`` on.
        mixed_negatives: Add for each row a mix of its two hardest negatives to the candidates of all (see mixing.py).
        words: Loss of the positives' words beside (see bag_of_words.py).
        words_weight: Its weight.
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
        teacher: Teacher | None = None,
        teacher_weight: float = 0.0,
        teacher_scale: float = 20.0,
        teacher_from_dim: int = 0,
        focal_gamma: float = 0.0,
        learn_scale: bool = False,
        mixed_negatives: bool = False,
        words: BagOfWordsLoss | None = None,
        words_weight: float = 0.0,
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
        if not 0 <= teacher_weight <= 1 or not focal_gamma >= 0:
            raise ValueError(f"teacher_weight {teacher_weight} or focal_gamma {focal_gamma} is out of range")
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
        self.teacher = teacher
        self.teacher_weight = teacher_weight
        self.teacher_scale = teacher_scale
        self.teacher_from_dim = teacher_from_dim
        self.focal_gamma = focal_gamma
        self.mixed_negatives = mixed_negatives
        self.words = words
        self.words_weight = words_weight
        # The logarithm keeps a learned scale positive and its steps relative.
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale))) if learn_scale else None
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
        features = list(sentence_features)
        columns = self._embed(features)
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
        if self.mixed_negatives:
            mixed = mix_hardest(anchors, candidates, first, groups, self.dims[-1])
            candidates = torch.cat([candidates, mixed])
            groups = [nn.functional.pad(group, (0, len(mixed)), value=-1) for group in groups]

        limits, targets = self._limits(anchors, positives, column=True), None
        if self.teacher is not None:
            scores = self.teacher.scores(features, labels)
            targets = shared_out(scores, self.teacher_weight, self.teacher_scale)
            if len(candidates) > targets.shape[1]:  # no teacher knows the mixed ones
                targets = nn.functional.pad(targets, (0, len(candidates) - targets.shape[1]))
        loss = self._rank(anchors, candidates, first, groups, limits, targets)
        if self.words is not None:
            loss = loss + self.words_weight * self.words(positives, features[1])
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
        dim, dtype = self.dims[-1], compute_dtype(anchors)
        a, p = (nn.functional.normalize(x.detach()[:, :dim].to(dtype)) for x in (anchors, positives))
        return ((a * p).sum(dim=1) + self.false_negative_margin).unsqueeze(1 if column else 0)

    def _rank(
        self,
        rows: Tensor,
        candidates: Tensor,
        first: int,
        groups: list[Tensor],
        limits: Tensor | None,
        targets: Tensor | None = None,
    ) -> Tensor:
        kind = rows.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        chunk = (CPU_ELEMENTS if kind == "cpu" else GPU_ELEMENTS) // len(candidates)
        chunk = max(FEWEST_ROWS, min(chunk, MOST_CPU_ROWS) if kind == "cpu" else chunk)
        scale = None if self.log_scale is None else self.log_scale.exp()
        plan = Plan(
            dims=self.dims,
            weights=self.weights,
            scale=self.scale if scale is None else scale.item(),
            first=first,
            groups=groups,
            limits=limits,
            chunk=self.row_chunk or chunk,
            low=low if low == torch.bfloat16 and compute_dtype(rows) == torch.float32 else None,
            gradient=torch.is_grad_enabled() and (rows.requires_grad or candidates.requires_grad),
            targets=targets,
            targets_from=self.teacher_from_dim,
            focal_gamma=self.focal_gamma,
        )
        loss: Tensor = Ranking.apply(rows, candidates, scale, plan)  # type: ignore[no-untyped-call]
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """The arguments that determine the loss, for the model card."""
        used = {
            "teacher_weight": self.teacher_weight if self.teacher is not None else 0.0,
            "focal_gamma": self.focal_gamma,
            "learn_scale": self.log_scale is not None,
            "mixed_negatives": self.mixed_negatives,
            "words_weight": self.words_weight if self.words is not None else 0.0,
        }
        return {
            "dims": list(self.dims),
            "weights": list(self.weights),
            "scale": self.scale,
            "symmetric": self.symmetric,
            "mask_same_text": self.mask_same_text,
            "false_negative_margin": self.false_negative_margin,
            "gather": self.gather,
            **{name: value for name, value in used.items() if value},
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
