"""From a recipe to its losses: one for the sources with in-batch negatives, others for those without."""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from sse.errors import SseError
from sse.training.data.sources import LoadedSource
from sse.training.loss.bag_of_words import BagOfWordsLoss
from sse.training.loss.fused import FusedMatryoshkaMNRL
from sse.training.loss.scored_pairs import OwnNegativesLoss, scored_loss
from sse.training.loss.soft_targets import LexicalTeacher, Teacher
from sse.training.recipe import Recipe
from sse.training.start.token_statistics import TokenStatistics
from sse.training.teacher.vectors import TeacherVectors, VectorTeacher


def build_losses(
    recipe: Recipe,
    model: SentenceTransformer,
    loaded: list[LoadedSource],
    processes: int,
    statistics: TokenStatistics | None = None,
    vectors: TeacherVectors | None = None,
) -> dict[str, nn.Module]:
    """The loss of each source around ``model``; with several processes texts are ranked against those of all.

    Raises:
        SseError: A source without in-batch negatives has neither scores nor negatives of its own.
    """
    part = recipe.loss
    ranking = _ranking(recipe, model, processes, statistics, vectors)
    losses = {}
    for item in loaded:
        name, columns = item.source.name, item.rows.column_names
        if item.source.in_batch:
            losses[name] = ranking
        elif "score" in columns:
            losses[name] = scored_loss(model, part.dims, part.weights, part.scale)
        elif any(column.startswith("negative") for column in columns):
            losses[name] = OwnNegativesLoss(model, part.dims, part.weights, part.scale)
        else:
            raise SseError(f"source {name!r}: in_batch = false needs a score or negatives of its own")
    return losses


def _ranking(
    recipe: Recipe,
    model: SentenceTransformer,
    processes: int,
    statistics: TokenStatistics | None,
    vectors: TeacherVectors | None,
) -> nn.Module:
    part = recipe.loss
    if part.kind == "fused":
        weight, scale, words = 0.0, 1.0, None
        teacher: Teacher | None = None
        if statistics is not None:
            idf = torch.from_numpy(statistics.idf())
            if part.lexical_weight:
                teacher = LexicalTeacher(idf, statistics.mean_length)
                weight, scale = part.lexical_weight, part.lexical_scale
            if part.words_weight:
                words = BagOfWordsLoss(idf, recipe.model.dim)
        if vectors is not None:
            teacher = VectorTeacher(vectors)
            weight, scale = recipe.teacher.weight, recipe.teacher.scale
        return FusedMatryoshkaMNRL(
            model,
            dims=part.dims,
            weights=part.weights,
            scale=part.scale,
            symmetric=part.symmetric,
            mask_same_text=part.mask_same_text,
            false_negative_margin=part.false_negative_margin,
            gather=processes > 1,
            teacher=teacher,
            teacher_weight=weight,
            teacher_scale=scale,
            teacher_from_dim=part.teacher_from_dim,
            focal_gamma=part.focal_gamma,
            learn_scale=part.learn_scale,
            mixed_negatives=part.mixed_negatives,
            words=words,
            words_weight=part.words_weight,
        )
    try:  # sentence-transformers >= 5.4
        from sentence_transformers.sentence_transformer.losses import (
            MatryoshkaLoss,
            MultipleNegativesRankingLoss,
        )
    except ImportError:
        from sentence_transformers.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

    ranking = MultipleNegativesRankingLoss(model, scale=part.scale, gather_across_devices=processes > 1)
    weights: Any = list(part.weights) if part.weights else None
    loss: nn.Module = MatryoshkaLoss(
        model, ranking, matryoshka_dims=list(part.dims), matryoshka_weights=weights
    )
    return loss
