"""The command ``sse``: parses, calls one function, prints. A user's mistake is one sentence and exit code 2."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
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


class Precision(str, Enum):
    """Stored forms of vectors."""

    f32 = "f32"
    int8 = "int8"
    binary = "binary"


class Kind(str, Enum):
    """What texts are for."""

    document = "document"
    query = "query"


class Backend(str, Enum):
    """What computes vectors."""

    auto = "auto"
    native = "native"
    numpy = "numpy"
    tokenizers = "tokenizers"


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


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


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
    dim: Annotated[int | None, typer.Option(min=1, help="Keep only the first columns of the table.")] = None,
    results: Annotated[Path | None, typer.Option(help="results.json for the card.")] = None,
    name: Annotated[str | None, typer.Option(help="Name in the card, for example a Hub id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the directory that people load with sentence-transformers."""
    require("torch", "train")
    from sse.export import export as run

    done = run(model, directory, table=table.value, plain=plain, results=results, name=name, dim=dim)
    if as_json:
        _print_json(
            {
                "directory": str(done.directory),
                "table": done.table,
                "table_bytes": done.table_bytes,
                "cosine": done.cosine,
                "alternatives": dict(done.alternatives),
            }
        )
    else:
        size = f"{done.table_bytes / 1e6:.1f} MB"
        _print(f"{directory}: table {done.table}, {size}, mean cosine to float32 {done.cosine:.5f}")
        for layout, cosine in done.alternatives:
            _print(f"  not taken: {layout}, {cosine:.5f}")


@app.command()
def encode(
    model: Annotated[str, typer.Argument(help="Directory or Hub id of a model.")],
    input: Annotated[Path, typer.Argument(help="Text (one a line), JSON lines, CSV or Parquet.")],
    output: Annotated[Path, typer.Argument(help="Vectors, one row a text: .npy or .parquet.")],
    dim: Annotated[int | None, typer.Option(min=1, help="Use only the first dimensions.")] = None,
    precision: Annotated[Precision, typer.Option(help="How the vectors are stored.")] = Precision.f32,
    field: Annotated[str | None, typer.Option(help="Which field of a record to encode.")] = None,
    kind: Annotated[Kind, typer.Option(help="Texts that are searched, or looked for.")] = Kind.document,
    threads: Annotated[
        int | None, typer.Option(min=1, help="By default one for every core that may be used.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="What computes: auto chooses the fastest.")] = Backend.auto,
    as_json: AsJson = False,
) -> None:
    """Encode the texts of a file; a run that was stopped goes on when it is started again."""
    from sse.edge import Encoder
    from sse.encode import check_places, encode_file

    check_places(input, output)
    encoder = Encoder.from_pretrained(model, dim=dim, backend=backend.value, threads=threads)
    try:
        done = encode_file(encoder, input, output, precision=precision.value, field=field, kind=kind.value)
    except KeyboardInterrupt:
        _fail(f"{output}: stopped; the same command goes on from here", 130)
    if as_json:
        _print_json({**asdict(done), "output": str(done.output), "seconds": round(done.seconds, 3)})
    else:
        rate = (done.rows - done.resumed_rows) / max(done.seconds, 1e-9)
        _print(f"{output}: {done.rows:,} vectors of {done.dim} dims, {done.precision}, {rate:,.0f} a second")


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
    from sse.edge import Encoder
    from sse.search import search as run
    from sse.texts import read_texts

    texts = read_texts(file, field)
    hits = run(Encoder.from_pretrained(model, dim=dim), texts, query, k=k)
    if as_json:
        _print_json([{"score": hit.score, "number": hit.number, "text": hit.text} for hit in hits])
    else:
        for hit in hits:
            _print(f"{hit.score:.3f}  {hit.number}: {hit.text}")


@app.command()
def bench(
    model: Annotated[Path, typer.Argument(help="Directory of an exported model.")],
    table: Annotated[
        list[Table] | None,
        typer.Option(help="Form of the table, by default the stored one; may be repeated."),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(help="model2vec,sentence-transformers or none; by default those installed."),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Text file to measure on; by default Python's documentation.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Measure little: a look.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Directory for bench.json, bench.md and bench.png."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the speed of a model on this machine's CPU, beside other libraries."""
    require("psutil", "bench")
    if output is not None:
        require("matplotlib", "bench")  # before the minutes, not after them
    from sse.bench import bench as run

    chosen = None if peers is None else [] if peers == "none" else peers.split(",")
    forms = [form.value for form in table or ()]
    report = run(model, tables=forms, peers=chosen, text=text, quick=quick, say=_say)
    if output is not None:
        report.save(output)
    if as_json:
        _print_json(report.to_dict())
    else:
        _print(report.markdown())


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
