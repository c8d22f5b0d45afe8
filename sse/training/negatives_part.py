"""The table ``[negatives]`` of a recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sse.training.recipe_parts import Part


class NegativesPart(Part):
    """Hard negatives, looked for among the positives of the same source."""

    kind: Literal["none", "bm25", "model"] = "none"
    """What ranks them: BM25, or the cosine of a static model."""
    model: str | None = None
    """Directory or Hub id of the static model; used only with kind = "model"."""
    count: int = Field(3, ge=1, le=15)
    """Negatives for each row."""
    pool: int = Field(20_000, ge=2)
    """Rows are split at random into shards of at most so many, and a row looks only in its own: bounded time."""
    depth: int = Field(30, ge=1)
    """Candidates looked at, best first."""
    skip: int = Field(0, ge=0)
    """Leave out the first so many of them."""
    keep_below: float = Field(0.95, gt=0)
    """Keep a candidate only if it scores less than this times the positive (NV-Retriever, arXiv 2407.15831)."""
    keep_existing: bool = True
    """Leave a source that has negatives as it is; otherwise they are replaced."""

    @model_validator(mode="after")
    def _consistent(self) -> NegativesPart:
        if (self.model is not None) != (self.kind == "model"):
            raise ValueError('give model with kind = "model", and only with it')
        if self.depth < self.skip + self.count:
            raise ValueError("depth must be at least skip + count")
        return self
