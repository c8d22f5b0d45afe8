"""``sse eval``, ``sse sts``, ``sse compare`` and ``sse bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sse.cli.shared import MODEL, AsJson, Revision, Table, say, show, show_json
from sse.errors import SseError, require
from sse.shipped import DEFAULT


def _dims(text: str | None) -> list[int] | None:
    try:
        return [int(dim) for dim in text.split(",")] if text else None
    except ValueError:
        raise SseError(f"--dims {text}: write whole numbers with commas between, such as 512,256") from None


def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL)],
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
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on NanoBEIR or on BEIR folders."""
    require("torch", "train")
    from sse.eval import evaluate as run
    from sse.modeling import load_model

    wanted = _dims(dims)
    loaded = load_model(model, revision=revision, trust_remote_code=trust_remote_code)
    name = Path(model).resolve().name if Path(model).is_dir() else model  # a path is nobody else's business
    report = run(loaded, suite or ["nanobeir"], dims=wanted, bm25=bm25, show_progress=True, name=name)
    if output is not None:
        report.save(output)
    if as_json:
        show_json(report.to_dict())
    else:
        show(report.table())


def sts(
    model: Annotated[str, typer.Argument(help=MODEL)],
    file: Annotated[
        Path, typer.Argument(help="Tab-separated, with the columns score, sentence1 and sentence2.")
    ],
    dims: Annotated[
        str | None, typer.Option(help="For example 512,256; by default the model's width.")
    ] = None,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Measure how a model orders scored pairs of sentences: Spearman's correlation."""
    require("torch", "train")
    from sse.eval.sts import spearman
    from sse.modeling import load_model

    wanted = _dims(dims)
    loaded = load_model(model, revision=revision)
    width = loaded.encode(["one"]).shape[1]
    found = spearman(loaded, file, wanted or [width])
    if as_json:
        show_json({str(dim): value for dim, value in found.items()})
    else:
        show("\n".join(f"{dim}: {value:.4f}" for dim, value in found.items()))


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
        show_json(comparison.to_dict())
    else:
        show(comparison.table())


def bench(
    model: Annotated[
        Path, typer.Argument(help=f"Directory of an exported model, or {DEFAULT}: the one in this package.")
    ],
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
    report = run(model, tables=forms, peers=chosen, text=text, quick=quick, say=say)
    if output is not None:
        report.save(output)
    if as_json:
        show_json(report.to_dict())
    else:
        show(report.markdown())
