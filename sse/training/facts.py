"""What config.json says about a training; the model card is made from it. No path of a machine is told."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sse.errors import SseError
from sse.files import sha256_of
from sse.training.data.sources import LoadedSource
from sse.training.recipe import Recipe

# Parts whose settings are told where they are not the default ones.
VARIED = ("model", "start", "negatives", "crops", "teacher", "loss")
# The same for these of the training's.
RARE = (
    "start_share",
    "moving_average",
    "level_rows",
    "group_size",
    "sampler",
    "mixing",
    "weight_decay",
    "bf16",
)


def training_facts(
    recipe: Recipe,
    loaded: list[LoadedSource],
    *,
    steps: int,
    seconds: float,
    contaminated: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Collect the facts.

    Args:
        recipe: What was done.
        loaded: The data it was done with.
        steps: Optimiser steps.
        seconds: Wall time of the training.
        contaminated: Rows taken out because an evaluation has them, by source.
    """
    settings, default = recipe.train, Recipe.model_construct(name="", sources=())
    varied = {
        part: {
            key: _without_path(value)
            for key, value in getattr(recipe, part).model_dump(mode="json").items()
            if value != getattr(default, part).model_dump(mode="json")[key]
        }
        for part in VARIED
    }
    # The name of a directory tells nobody which model it holds.
    if recipe.start.model and (weights := Path(recipe.start.model, "model.safetensors")).is_file():
        varied["start"]["sha256"] = sha256_of(weights)
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "description": recipe.description or None,
        "command": command_of(recipe),
        "language": recipe.language,
        "license": recipe.license,
        "trained_on": recipe.trained_on,
        "vocabulary": _without_path(recipe.model.tokenizer),
        "sources": [_source(item) for item in loaded],
        "rows": sum(len(item.rows) for item in loaded),
        "rows_contaminated": sum((contaminated or {}).values()) if recipe.evaluation.decontaminate else None,
        "steps": steps,
        "seconds": round(seconds, 1),
        **{part: values for part, values in varied.items() if values and part != "loss"},
        "loss": {
            "kind": recipe.loss.kind,
            "scale": recipe.loss.scale,
            "dims": list(recipe.loss.dims),
            **varied["loss"],
        },
        "batch_size": settings.batch_size,
        "gradient_accumulation": settings.gradient_accumulation,
        "epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "betas": [settings.beta1, settings.beta2],
        "eps": settings.eps,
        "scheduler": settings.scheduler,
        "warmup": settings.warmup,
        "seed": settings.seed,
        **{key: value for key in RARE if (value := getattr(settings, key)) != getattr(default.train, key)},
    }
    return {key: value for key, value in facts.items() if value is not None or key == "license"}


def command_of(recipe: Recipe) -> str | None:
    """The command that does what the recipe says, if it is one of the package with other settings, else None.

    Example:
        >>> command_of(Recipe.load("sse-en-v1", ["train.seed=3"]))
        'sse train sse-en-v1 -o MODEL --set train.seed=3'
    """
    if recipe.name not in Recipe.shipped():
        return None
    try:
        base = Recipe.load(recipe.name, ["data=DATA"] if recipe.data else [], check_files=False)
    except SseError:  # a recipe of the same name that is not the package's
        return None
    if [source.name for source in base.sources] != [source.name for source in recipe.sources]:
        return None
    words = ["sse", "train", recipe.name, "-o", "MODEL"]
    if recipe.data:
        words += ["--set", "data=DATA"]
    before = dict(_leaves(base.model_dump(mode="json", exclude={"sources", "data"})))
    for key, value in _leaves(recipe.model_dump(mode="json", exclude={"sources", "data"})):
        if value != before.get(key):
            told = _without_path(value)
            words += ["--set", f"{key}={told if isinstance(told, str) else json.dumps(told)}"]
    return shlex.join(words)


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _leaves(item, f"{prefix}{key}.")
        else:
            yield prefix + key, item


def _source(item: LoadedSource) -> dict[str, Any]:
    source = item.source
    facts = {
        "name": source.name,
        "hub": source.hub,
        "license": source.license,
        "url": source.url,
        "rows": len(item.rows),
    }
    if source.path is not None and Path(source.path).is_file():
        facts["sha256"] = sha256_of(source.path)
    return facts


def _without_path(value: Any) -> Any:
    """The last part of a path: where a file lay is nobody else's business, and a Hub id is no path."""
    if isinstance(value, str) and (
        Path(value).is_absolute() or value.startswith((".", "~")) or os.path.exists(value)
    ):
        return Path(value).name
    if isinstance(value, list | tuple):
        return [_without_path(item) for item in value]
    return value
