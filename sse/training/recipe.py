"""A recipe: one TOML file that says everything about a training, checked before anything is loaded.

Unknown keys, bad values and missing files end in one sentence that names the file and the key. A recipe
says what to do; it reads no data itself (sources.py) and trains nothing (trainer.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sse.errors import SseError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALIASES = {"sse-en": "sse-en-v2"}
FILE_TYPES = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelPart(_Part):
    """What is trained."""

    dim: int = Field(512, ge=1)
    tokenizer: str = "bert-base-uncased"
    """Hub id or path of any fast tokenizer, or "wordpiece": a vocabulary trained on the recipe's own text."""
    vocabulary_size: int = Field(30522, ge=100)
    """Size of the trained vocabulary; used only with tokenizer = "wordpiece"."""
    vocabulary_rows: int = Field(300_000, ge=1)
    """Rows of the data that the vocabulary is trained on, taken evenly from all sources."""
    alpha_init: float = 0.5
    max_seq_length: int | None = Field(None, ge=1)
    empty_text: Literal["constant", "zero"] = "constant"
    query_prompt: str = ""
    """Put before every anchor in training, and before every query by ``encode_query`` afterwards."""
    document_prompt: str = ""
    """The same for positives, negatives and ``encode_document``."""


class LossPart(_Part):
    """Matryoshka around multiple negatives ranking."""

    kind: Literal["fused", "reference"] = "fused"
    """"fused" is this package's own loss; "reference" is sentence-transformers' MatryoshkaLoss(MNRL)."""
    dims: tuple[int, ...] = (512, 256, 128, 64, 32)
    weights: tuple[float, ...] | None = None
    scale: float = Field(20.0, gt=0)
    symmetric: bool = False
    mask_same_text: bool = True
    false_negative_margin: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> LossPart:
        if not self.dims or min(self.dims) < 1:
            raise ValueError("dims must be positive")
        if self.weights is not None and len(self.weights) != len(self.dims):
            raise ValueError("weights must be as many as dims")
        if self.kind == "reference" and (self.symmetric or self.false_negative_margin is not None):
            raise ValueError('symmetric and false_negative_margin need kind = "fused"')
        return self


class TrainPart(_Part):
    """How it is trained; names and meanings as in transformers' TrainingArguments where they have one."""

    batch_size: int = Field(2048, ge=2)
    gradient_accumulation: int = Field(1, ge=1)
    epochs: float = Field(1.0, gt=0)
    max_steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(0.1, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.9999, ge=0, lt=1)
    eps: float = Field(1e-10, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, ge=0)
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of all steps."""
    bf16: bool = False
    sampler: Literal["no_duplicates", "random"] = "no_duplicates"
    mixing: Literal["proportional", "round_robin"] = "proportional"
    seed: int = Field(12, ge=0)
    workers: int = Field(0, ge=0)
    log_every: int = Field(10, ge=1)
    save_every: int = Field(200, ge=1)
    keep: int = Field(2, ge=1)
    """Checkpoints kept; the best one is kept besides."""
    report_to: tuple[str, ...] = ()


class EvaluationPart(_Part):
    """Measuring during the training, on suites that may be tuned on."""

    suites: tuple[str, ...] = ()
    dims: tuple[int, ...] | None = None
    every: int = Field(200, ge=1)
    keep_best: bool = True
    """End with the checkpoint of the best mean nDCG@10 at the full width, not with the last one."""


class Columns(_Part):
    """Which columns of a data set are what."""

    anchor: str
    positive: str
    negative: str | tuple[str, ...] = ()
    id: str | None = None
    """Equal values mean the same document, which is then never its own negative."""


class Source(_Part):
    """One data set: pairs of anchor and positive, with negatives where there are some."""

    name: str
    hub: str | None = None
    path: str | None = None
    """Parquet, JSON lines or CSV file; ``{data}`` stands for the recipe's ``data``."""
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    columns: Columns | None = None
    """Without it the columns anchor, positive, negative are taken, or else the text columns in their order."""
    negatives: int | None = Field(None, ge=0)
    """Use at most this many negative columns."""
    limit: int | None = Field(None, ge=1)
    weight: float = Field(1.0, ge=0)
    """Rows are repeated (above 1) or left out at random (below 1); 0 leaves the source out."""
    streaming: bool = False
    """Fetch only the first ``limit`` rows, for data sets too large to download."""
    prompts: dict[str, str] = Field(default_factory=dict)
    """Prompts of this source's anchor, positive and negative, in place of the model's."""
    license: str | None = None
    url: str | None = None
    trained_on: tuple[str, ...] = ()
    """Evaluation sets (nq, hotpotqa, ...) whose training data this is: reported as in-domain."""

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.hub is None) == (self.path is None):
            raise ValueError("give either hub or path")
        if self.streaming and (self.limit is None or self.hub is None):
            raise ValueError("streaming needs hub and limit")
        if unknown := set(self.prompts) - {"anchor", "positive", "negative"}:
            raise ValueError(f"prompts may name anchor, positive and negative, not {sorted(unknown)[0]!r}")
        return self


class Recipe(_Part):
    """A whole recipe; ``Recipe.load`` reads and checks one."""

    name: str
    description: str = ""
    language: str = "en"
    license: str | None = None
    """Licence of the trained weights, for the model card."""
    data: str | None = None
    """Directory that ``{data}`` stands for in paths."""
    model: ModelPart = ModelPart()
    loss: LossPart = LossPart()
    train: TrainPart = TrainPart()
    evaluation: EvaluationPart = EvaluationPart()
    sources: tuple[Source, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [source.name for source in self.sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two sources are named {sorted(twice)[0]!r}")
        if not any(source.weight for source in self.sources):
            raise ValueError("there is no source with a weight above 0")
        if max(self.loss.dims) > self.model.dim:
            raise ValueError(f"loss.dims has {max(self.loss.dims)}, but model.dim is {self.model.dim}")
        return self

    @classmethod
    def load(cls, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Read a recipe and check it, with every file that it names.

        Args:
            name_or_path: A TOML file, or the name of a recipe in the package (see ``Recipe.shipped``).
            overrides: ``"key=value"`` with a dotted key and a TOML value; a source is reached by its name.

        Returns:
            The recipe. A relative path of a source, and ``data`` where the file gives it, start at the
            recipe file's directory; ``data`` as an override starts at the working directory.

        Raises:
            SseError: One sentence that names the file and the key.

        Example:
            >>> Recipe.load("sse-en-v1", ["train.seed=3", "sources.paq.limit=1000"]).train.seed
            3
        """
        path = Path(name_or_path)
        if not path.suffix and str(name_or_path) in (*cls.shipped(), *ALIASES):
            shipped = ALIASES.get(str(name_or_path), str(name_or_path))
            path = Path(str(resources.files("sse.training") / "recipes" / f"{shipped}.toml"))
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            known = ", ".join(cls.shipped())
            raise SseError(
                f"{name_or_path}: no such recipe file, and none in the package has that name ({known})"
            ) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SseError(f"{name_or_path}: {error}") from None
        if isinstance(content.get("data"), str):
            content["data"] = str(path.parent / Path(content["data"]).expanduser())
        for override in overrides:
            _override(content, override)
        try:
            recipe = cls.model_validate(content)
        except ValidationError as error:
            raise SseError(f"{name_or_path}: {_first_problem(error, content)}") from None
        return recipe._with_paths(path)

    @staticmethod
    def shipped() -> list[str]:
        """Names of the recipes in the package."""
        folder = resources.files("sse.training") / "recipes"
        return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))

    @property
    def trained_on(self) -> list[str]:
        """Evaluation sets that are in-domain for a model of this recipe, sorted."""
        return sorted({name for source in self.sources if source.weight for name in source.trained_on})

    def _with_paths(self, file: Path) -> Recipe:
        sources = []
        for source in self.sources:
            if source.path is not None and source.weight:
                if "{data}" in source.path and self.data is None:
                    raise SseError(f"{file.name}: say where the data is: --set data=DIRECTORY")
                path = Path(os.path.expanduser(source.path.replace("{data}", self.data or "")))
                if not path.is_absolute() and "{data}" not in source.path:
                    path = file.parent / path
                if path.suffix not in FILE_TYPES:
                    raise SseError(
                        f"{file.name}: source {source.name!r}: {path} is not one of {', '.join(FILE_TYPES)}"
                    )
                if not path.is_file():
                    raise SseError(f"{file.name}: source {source.name!r}: there is no file {path}")
                source = source.model_copy(update={"path": str(path)})
            sources.append(source)
        return self.model_copy(update={"sources": tuple(sources)})


def _override(content: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise SseError(f"--set {override}: write it as key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word or path
    here: Any = content
    *parents, last = key.strip().split(".")
    for part in parents:
        if isinstance(here, list):
            named = [item for item in here if item.get("name") == part]
            if not named:
                raise SseError(f"--set {override}: there is no source named {part!r}")
            here = named[0]
        else:
            here = here.setdefault(part, {})
        if not isinstance(here, dict | list):
            raise SseError(f"--set {override}: {part!r} has no keys of its own")
    if not isinstance(here, dict):
        raise SseError(f"--set {override}: name a source and a key of it")
    here[last] = value


def _first_problem(error: ValidationError, content: dict[str, Any]) -> str:
    problem = error.errors()[0]
    parts = [str(part) for part in problem["loc"]]
    if parts[:1] == ["sources"] and len(parts) > 1 and isinstance(content["sources"][int(parts[1])], dict):
        parts[1] = str(
            content["sources"][int(parts[1])].get("name", parts[1])
        )  # a name says more than a number
    place = ".".join(parts)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place!r}"
    if problem["type"] == "missing":
        return f"the key {place!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{place}: {message}" if place else message
    return f"{place} = {problem['input']!r}: {message[0].lower()}{message[1:]}"
