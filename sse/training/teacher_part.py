"""The table ``teacher`` of a recipe: which models, or vectors made before, say what a row's target is."""

from __future__ import annotations

from pydantic import Field, model_validator

from sse.training.recipe_parts import Part


class TeacherPart(Part):
    """Distillation from vectors: a share of each row's target follows the cosines of other models."""

    models: tuple[str, ...] = ()
    """Paths or Hub ids of sentence-transformers models; the cosine of several is the mean of theirs."""
    vectors: str | None = None
    """Directory of vectors made before, in place of models (see ``read_vectors``)."""
    weight: float = Field(0.0, ge=0, le=1)
    """Share of the target that the teacher gives out among the candidates; 0 leaves the teacher out."""
    scale: float = Field(20.0, gt=0)
    """Inverse of the temperature of the teacher's cosines."""
    rows: int = Field(100_000, ge=1)
    """Rows that get vectors, from all sources in proportion to their size; only these are trained on."""
    max_tokens: int = Field(96, ge=2)
    """Tokens of a text that a model reads at most."""
    fusion_dim: int | None = Field(None, ge=1)
    """Compress the vectors of the models, laid side by side, to so many dims (see fusion.py)."""

    @model_validator(mode="after")
    def _one_origin(self) -> TeacherPart:
        if self.models and self.vectors is not None:
            raise ValueError("give models or vectors, not both")
        if self.weight and not self.models and self.vectors is None:
            raise ValueError("weight above 0 needs models or vectors")
        if len(set(self.models)) < len(self.models):
            raise ValueError("a model is named twice")
        if self.fusion_dim is not None and not self.models:
            raise ValueError("fusion_dim needs models")
        return self
