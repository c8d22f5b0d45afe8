"""``sse train``, ``sse soup``, ``sse decontaminate`` and ``sse quickstart``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sse.cli.shared import AsJson, fail, show, show_json
from sse.errors import SseError, require


def train(
    recipe: Annotated[str, typer.Argument(help="TOML file, or the name of a recipe in the package.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the model.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest whole checkpoint.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model by a recipe."""
    require("torch", "train")
    from sse.training import Recipe
    from sse.training import train as run

    try:
        result = run(Recipe.load(recipe, settings or ()), output, resume=resume)
    except KeyboardInterrupt:
        fail(f"stopped; go on with: sse train {recipe} -o {output} --resume (and the same --set)", 130)
    if os.environ.get("RANK", "0") != "0":  # torchrun: one process speaks
        return
    figures = {
        "directory": str(result.directory),
        "rows": result.rows,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "loss": result.loss,
        "best_ndcg": result.best_ndcg,
        "peak_memory_mb": result.peak_memory_mb,
    }
    if as_json:
        show_json(figures)
    else:
        show(
            f"{output}: {result.steps} steps over {result.rows:,} pairs in {result.seconds:.0f} s, loss {result.loss}"
        )


def soup(
    models: Annotated[
        list[str], typer.Argument(help="Directories or Hub ids (also OWNER/NAME@REVISION), two at least.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the average.")],
) -> None:
    """Average the weights of models that were trained from one start."""
    require("torch", "train")
    from sse.files import staged_directory
    from sse.modeling import write_model
    from sse.training.weights.averaging import soup as run

    if output.exists():
        raise SseError(f"{output}: is there already; name another directory")
    mixed = run(models)
    with staged_directory(output) as part:
        write_model(mixed, part)
    show(f"{output}: the average of {len(models)} models")


def decontaminate(
    recipe: Annotated[str, typer.Argument(help="TOML file, or the name of a recipe in the package.")],
    suite: Annotated[
        list[str],
        typer.Option("--suite", metavar="nanobeir|DIR", help="Sets to look for; may be repeated."),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be repeated."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if there is any such row.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count the rows of a recipe's data whose text is in an evaluation set."""
    require("torch", "train")
    from datasets import disable_progress_bars

    from sse.training import Recipe
    from sse.training.data.decontaminate import find_contaminated
    from sse.training.data.sources import load_sources

    checked = Recipe.load(recipe, settings or ())
    if all(source.hub is None for source in checked.sources):
        disable_progress_bars()  # worth seeing only for downloads
    loaded = load_sources(checked)
    found = find_contaminated(loaded, suite)
    total = sum(map(len, found))
    counts = {
        item.source.name: {"rows": len(item.rows), "found": len(rows)}
        for item, rows in zip(loaded, found, strict=True)
    }
    if as_json:
        rows = sum(len(item.rows) for item in loaded)
        show_json({"sources": counts, "rows": rows, "found": total})
    else:
        for name, count in counts.items():
            show(f"{name}: {count['found']:,} of {count['rows']:,} rows")
        show(f"{total:,} rows are in an evaluation set")
    if check and total:
        raise typer.Exit(1)


def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for the text and the models.")
    ] = Path("quickstart-model"),
) -> None:
    """Train, measure, export and search on text that every Python has."""
    require("torch", "train")
    from sse.quickstart import quickstart as run

    run(output, say=show)
