"""The command ``sse``: parses, calls one function, prints. A user's mistake is one sentence and exit code 2."""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from sse.errors import SseError, require

app = typer.Typer(
    name="sse",
    help="Train, measure, publish and search with static embedding models for retrieval.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]


class Table(str, Enum):
    """Stored forms of a table."""

    f32 = "f32"
    f16 = "f16"
    int8 = "int8"
    int4 = "int4"


def main() -> None:
    """Run the command line; the entry point of ``sse``."""
    try:
        app()
    except SseError as error:
        _fail(str(error), 2)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 2)


def _fail(message: str, code: int) -> NoReturn:
    sys.stdout.flush()
    print(f"sse: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)


def _print(text: str) -> None:
    print(text)  # noqa: T201


def _print_json(value: Any) -> None:
    _print(json.dumps(value, indent=2, ensure_ascii=False))


def _version(asked: bool) -> None:
    if asked:
        from sse import __version__

        _print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
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
        _fail(f"stopped; go on with: sse train {recipe} -o {output} --resume (and the same --set)", 130)
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
        _print_json(figures)
    else:
        _print(
            f"{output}: {result.steps} steps over {result.rows:,} pairs in {result.seconds:.0f} s, loss {result.loss}"
        )


@app.command(name="eval")
def evaluate(
    model: Annotated[str, typer.Argument(help="Directory or Hub id of a model.")],
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="nanobeir|DIR", help="What to measure on; may be repeated."),
    ] = None,
    dims: Annotated[
        str | None, typer.Option(help="For example 512,256; by default those the model was trained for.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Directory for results.json, report.md and the plots."),
    ] = None,
    bm25: Annotated[bool, typer.Option(help="Measure BM25 beside the model.")] = True,
    trust_remote_code: Annotated[
        bool, typer.Option(help="Run code out of the repository of a model that is not SSE.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on NanoBEIR or on BEIR folders."""
    require("torch", "train")
    from sse.eval import evaluate as run
    from sse.modeling import load_model

    try:
        wanted = [int(dim) for dim in dims.split(",")] if dims else None
    except ValueError:
        raise SseError(f"--dims {dims}: write whole numbers with commas between, such as 512,256") from None
    loaded = load_model(model, trust_remote_code=trust_remote_code)
    name = Path(model).resolve().name if Path(model).is_dir() else model  # a path is nobody else's business
    report = run(loaded, suite or ["nanobeir"], dims=wanted, bm25=bm25, show_progress=True, name=name)
    if output is not None:
        report.save(output)
    if as_json:
        _print_json(report.to_dict())
    else:
        _print(report.table())


@app.command()
def compare(
    results_a: Annotated[Path, typer.Argument(help="results.json or its directory.")],
    results_b: Annotated[Path, typer.Argument(help="results.json or its directory.")],
    dim: Annotated[
        int | None, typer.Option(help="Compare at this dim; by default each at its largest.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two results by a paired bootstrap, per set and for the mean."""
    from sse.eval import EvalReport
    from sse.eval import compare as run

    comparison = run(EvalReport.load(results_a), EvalReport.load(results_b), dim_a=dim, dim_b=dim)
    if as_json:
        _print_json(comparison.to_dict())
    else:
        _print(comparison.table())


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Directory or Hub id of a trained model.")],
    directory: Annotated[Path, typer.Argument(help="Where to write it.")],
    table: Annotated[Table, typer.Option(help="How the table is stored.")] = Table.f32,
    plain: Annotated[
        bool, typer.Option("--plain", help="Built-in modules only: loads with no flag.")
    ] = False,
    results: Annotated[Path | None, typer.Option(help="results.json for the card.")] = None,
    name: Annotated[str | None, typer.Option(help="Name in the card, for example a Hub id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the directory that people load with sentence-transformers."""
    require("torch", "train")
    from sse.export import export as run

    done = run(model, directory, table=table.value, plain=plain, results=results, name=name)
    if as_json:
        _print_json(
            {
                "directory": str(done.directory),
                "table": done.table,
                "table_bytes": done.table_bytes,
                "cosine": done.cosine,
            }
        )
    else:
        size = f"{done.table_bytes / 1e6:.1f} MB"
        _print(f"{directory}: table {done.table}, {size}, mean cosine to float32 {done.cosine:.5f}")


@app.command()
def search(
    model: Annotated[str, typer.Argument(help="Directory or Hub id of a model.")],
    file: Annotated[Path, typer.Argument(help="Text (one a line), JSON lines, CSV or Parquet.")],
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many to show.")] = 5,
    field: Annotated[str | None, typer.Option(help="Which field of a record to search.")] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Use only the first dimensions.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the lines or records of a file that are nearest to a query."""
    require("torch", "train")
    from sse.modeling import load_model
    from sse.search import read_texts
    from sse.search import search as run

    texts = read_texts(file, field)
    hits = run(load_model(model), texts, query, k=k, dim=dim)
    if as_json:
        _print_json([{"score": hit.score, "number": hit.number, "text": hit.text} for hit in hits])
    else:
        for hit in hits:
            _print(f"{hit.score:.3f}  {hit.number}: {hit.text}")


@app.command()
def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for the text and the models.")
    ] = Path("quickstart-model"),
) -> None:
    """Train, measure, export and search on text that every Python has."""
    require("torch", "train")
    from sse.quickstart import quickstart as run

    run(output, say=_print)
