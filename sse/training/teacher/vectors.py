"""Distillation from vectors: what other models make of the anchors and positives of a recipe.

Which rows: the same share of every source, so that the mixture stays the recipe's, drawn at random without
repetition and left in the source's order. A stage with a teacher trains on these rows and no others: a row
without vectors would need another kind of target than its neighbours in the batch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sse.errors import SseError
from sse.files import staged_directory, write_json
from sse.training.data.cache import cached
from sse.training.data.sources import LoadedSource
from sse.training.recipe_parts import TeacherPart
from sse.training.teacher.encoder import COLUMNS, digest_of, identity, make_vectors


@dataclass(frozen=True)
class TeacherVectors:
    """Vectors of length 1 of every row, mapped into memory."""

    anchors: np.ndarray
    """float16 (rows, width); row n is what the label n of the data set means."""
    positives: np.ndarray
    """float16 (rows, width)."""
    directory: Path
    """Where they lie; it may be copied to another machine and named as ``vectors`` there."""


class VectorTeacher:
    """Scores a positive by the cosine between the teacher's vectors of it and of the row's anchor.

    A ``Teacher`` (see soft_targets.py). Texts are not looked at: the labels of a batch must be its row
    numbers, as ``encode_rows`` makes them. To the loss equal labels mean the same document, but row numbers
    are never equal, so they mask nothing.

    Args:
        vectors: Of all rows that are trained on.
    """

    def __init__(self, vectors: TeacherVectors) -> None:
        self.vectors = vectors

    def scores(self, columns: Sequence[dict[str, Tensor]], labels: Tensor | None) -> Tensor:
        """Score the positives of a batch.

        Args:
            columns: Of anchors and positives; only their number is looked at.
            labels: Row numbers, int64 (rows,).

        Returns:
            Cosines, float32 (rows, rows), on the device of the labels.

        Raises:
            ValueError: There are negatives, which have no vectors, or no labels.
        """
        if len(columns) != 2:
            raise ValueError(
                f"the teacher has vectors of anchors and positives only, got {len(columns)} columns of texts"
            )
        if labels is None:
            raise ValueError("the teacher finds vectors by row number, but the batch has no labels")
        numbers = labels.cpu().numpy()
        anchors, positives = (
            nn.functional.normalize(torch.from_numpy(stored[numbers]).to(labels.device, torch.float32))
            for stored in (self.vectors.anchors, self.vectors.positives)
        )
        return anchors @ positives.T


def encode_rows(
    loaded: list[LoadedSource], part: TeacherPart, seed: int, show_progress: bool = False
) -> tuple[list[LoadedSource], TeacherVectors]:
    """Choose the rows to distil on and get their vectors, from the cache, a directory or the models.

    Each model's vectors are brought to length 1 and laid side by side, so that the cosine is the mean of the
    models' cosines. Anchors get the prompt that a model has for queries, positives that for documents; the
    recipe's own prompts are the student's. Vectors are cached by what the texts and the models are.

    Args:
        loaded: The sources, all with in-batch negatives and no others.
        part: Which models or vectors, and how many rows.
        seed: Of the choice of rows and of the fusion.
        show_progress: Progress bar on standard error.

    Returns:
        The sources with the chosen rows only, whose column ``label`` (int64) is now the row's number, counted
        through all sources, in place of any id; and the vectors by that number.

    Raises:
        SseError: A source has negatives or no in-batch ones, a model cannot be loaded, or given vectors are
            of other rows.
    """
    for item in loaded:
        if not item.source.in_batch:
            raise SseError(
                f"source {item.source.name!r}: in_batch = false leaves a teacher nothing to score; set the "
                "source's weight to 0"
            )
        if negatives := [name for name in item.rows.column_names if name.startswith("negative")]:
            raise SseError(
                f"source {item.source.name!r}: has the column {negatives[0]!r}, and a teacher has no vectors "
                "of negatives; set the source's negatives to 0"
            )
    chosen = choose_rows(loaded, part.rows, seed)
    rows, digest = sum(len(item.rows) for item in chosen), digest_of(chosen)
    if part.vectors is not None:
        return chosen, read_vectors(Path(part.vectors).expanduser(), rows, digest)
    models = [identity(name) for name in part.models]
    fitted = None if part.fusion_dim is None else (part.fusion_dim, seed)
    directory = cached("teacher", "", models, part.max_tokens, fitted, digest)
    if not (directory / "info.json").is_file():
        with staged_directory(directory) as made:
            info = make_vectors(chosen, part, seed, made, show_progress)
            write_json(made / "info.json", {"models": list(part.models), "texts": digest, **info})
    return chosen, read_vectors(directory, rows, digest)


def read_vectors(directory: Path, rows: int, digest: str | None = None) -> TeacherVectors:
    """Map vectors into memory.

    Args:
        directory: Holds ``anchors.npy`` and ``positives.npy``, float (rows, width), of any origin, and
            perhaps an ``info.json`` whose ``texts`` is the digest of the texts that they are of.
        rows: How many there must be.
        digest: Of the texts that they must be of, where the directory says it.

    Raises:
        SseError: Files are missing, are no such arrays, or are of other rows.
    """
    arrays = []
    for column in COLUMNS:
        file = directory / f"{column}s.npy"
        try:
            array = np.load(file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise SseError(f"teacher.vectors: {file}: {str(error).splitlines()[0]}") from error
        if array.ndim != 2 or array.dtype.kind != "f" or len(array) != rows:
            raise SseError(
                f"teacher.vectors: {file}: holds {array.dtype} {array.shape}, not vectors of the {rows} rows "
                "chosen"
            )
        arrays.append(array)
    anchors, positives = arrays
    if anchors.shape != positives.shape:
        raise SseError(f"teacher.vectors: {directory}: anchors and positives differ in width")
    info = directory / "info.json"
    if digest is not None and info.is_file():
        texts = json.loads(info.read_text(encoding="utf-8")).get("texts", digest)
        if texts != digest:
            raise SseError(f"teacher.vectors: {directory}: the vectors are of other texts than those chosen")
    return TeacherVectors(anchors, positives, directory)


def choose_rows(loaded: list[LoadedSource], rows: int, seed: int) -> list[LoadedSource]:
    """About ``rows`` rows, the same share of every source and one at least, numbered in ``label``."""
    share = min(1.0, rows / sum(len(item.rows) for item in loaded))
    rng, first, chosen = np.random.default_rng(seed), 0, []
    for item in loaded:
        count = max(1, round(share * len(item.rows)))
        numbers = np.sort(rng.choice(len(item.rows), count, replace=False))
        kept = item.rows.select_columns(list(COLUMNS))
        kept = kept.select(numbers) if count < len(kept) else kept
        kept = kept.add_column("label", np.arange(first, first + count, dtype=np.int64))
        chosen.append(replace(item, rows=kept))
        first += count
    return chosen
