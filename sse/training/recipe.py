"""A recipe: one TOML file that says everything about a training, checked before anything is loaded.

Unknown keys, bad values and missing files end in one sentence that names the file and the key. A recipe
says what to do; it reads no data itself (data/sources.py) and trains nothing (trainer.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from sse.errors import SseError
from sse.training.recipe_parts import (
    CropsPart,
    EvaluationPart,
    LossPart,
    ModelPart,
    NegativesPart,
    Part,
    Source,
    StartPart,
    TeacherPart,
    TrainPart,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALIASES = {"sse-en": "sse-en-v2"}
FILE_TYPES = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv"}


class Recipe(Part):
    """A whole recipe; ``Recipe.load`` reads and checks one."""

    name: str
    description: str = ""
    language: str = "en"
    license: str | None = None
    """Licence of the trained weights, for the model card."""
    data: str | None = None
    """Directory that ``{data}`` stands for in paths."""
    model: ModelPart = ModelPart()
    start: StartPart = StartPart()
    negatives: NegativesPart = NegativesPart()
    crops: CropsPart = CropsPart()
    loss: LossPart = LossPart()
    teacher: TeacherPart = TeacherPart()
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
        if self.evaluation.suites and self.evaluation.keep_best:
            for key in ("moving_average", "start_share"):
                if getattr(self.train, key):
                    raise ValueError(
                        f"train.{key} needs evaluation.keep_best = false: the end is no checkpoint's weights"
                    )
        if self.teacher.weight and self.loss.lexical_weight:
            raise ValueError("give teacher.weight or loss.lexical_weight, not both")
        if self.teacher.weight and self.loss.kind != "fused":
            raise ValueError('teacher.weight needs loss.kind = "fused"')
        return self

    @classmethod
    def load(
        cls, name_or_path: str | Path, overrides: Sequence[str] = (), *, check_files: bool = True
    ) -> Recipe:
        """Read a recipe and check it, with every file that it names.

        Args:
            name_or_path: A TOML file, or the name of a recipe in the package (see ``Recipe.shipped``).
            overrides: ``"key=value"`` with a dotted key and a TOML value; a source is reached by its name.
            check_files: Paths are made whole, and a file that is not there is an error.

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
        return recipe._with_paths(path) if check_files else recipe

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
    *parents, last = key.strip().split(".")
    places: list[Any] = [content]
    for part in parents:
        places = [inner for place in places for inner in _inside(place, part, override)]
    for place in places:
        if not isinstance(place, dict):
            raise SseError(f"--set {override}: name a source and a key of it")
        place[last] = value


def _inside(place: Any, part: str, override: str) -> list[Any]:
    """What ``part`` of a key names: a table, the source of that name, or with "*" every source."""
    if isinstance(place, list):
        found = [item for item in place if part in (item.get("name"), "*")]
        if not found:
            raise SseError(f"--set {override}: there is no source named {part!r}")
    else:
        found = [place.setdefault(part, {})]
    if not isinstance(found[0], dict | list):
        raise SseError(f"--set {override}: {part!r} has no keys of its own")
    return found


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
