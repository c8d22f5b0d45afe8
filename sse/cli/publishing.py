"""``sse export`` and ``sse card``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sse.cli.shared import MODEL, AsJson, Revision, Table, fail, show, show_json
from sse.errors import SseError, require


def export(
    model: Annotated[str, typer.Argument(help=MODEL)],
    directory: Annotated[Path, typer.Argument(help="Where to write it.")],
    table: Annotated[Table, typer.Option(help="How the table is stored.")] = Table.f32,
    plain: Annotated[
        bool, typer.Option("--plain", help="Built-in modules only: loads with no flag.")
    ] = False,
    dim: Annotated[int | None, typer.Option(min=1, help="Keep only the first columns of the table.")] = None,
    results: Annotated[Path | None, typer.Option(help="results.json for the card.")] = None,
    name: Annotated[str | None, typer.Option(help="Name in the card, for example a Hub id.")] = None,
    revision: Revision = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write onnx/model.onnx and onnx/model_quantized.onnx (int8) too.")
    ] = False,
    onnx_normalize: Annotated[
        bool, typer.Option("--onnx-normalize", help="The vectors of the ONNX files have length 1.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the directory that people load with sentence-transformers."""
    require("torch", "train")
    from sse.export import export as run

    done = run(
        model,
        directory,
        table=table.value,
        plain=plain,
        results=results,
        name=name,
        dim=dim,
        revision=revision,
        onnx=onnx or onnx_normalize,
        onnx_normalize=onnx_normalize,
    )
    if as_json:
        show_json(
            {
                "directory": str(done.directory),
                "table": done.table,
                "table_bytes": done.table_bytes,
                "cosine": done.cosine,
                "alternatives": dict(done.alternatives),
                "kept": done.kept,
                "onnx": dict(done.onnx),
            }
        )
    else:
        size = f"{done.table_bytes / 1e6:.1f} MB"
        how = "kept as it was" if done.kept else f"mean cosine to the model's own table {done.cosine:.5f}"
        show(f"{directory}: table {done.table}, {size}, {how}")
        for layout, cosine in done.alternatives:
            show(f"  not taken: {layout}, {cosine:.5f}")
        for file, size_of_it in done.onnx.items():
            show(f"  {file}: {size_of_it / 1e6:.1f} MB, checked with onnxruntime against the golden vectors")


def card(
    model: Annotated[
        str, typer.Argument(help="Directory of a model, or the name of the one in this package.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it there, and not to standard output.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Write nothing; exit with 1 if FILE is not this card."),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--beside",
            metavar="LABEL=PATH",
            help="Put another model's results.json beside, and keep it in MODEL/beside.json; may be repeated.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name in the card, for example a Hub id.")] = None,
) -> None:
    """Write the model card from the files of a model directory: its training facts and measured results."""
    require("torch", "train")
    from sse.export import render_card
    from sse.export.beside import add_beside
    from sse.files import staged_file
    from sse.shipped import resolve

    if check is not None and (output is not None or beside):
        raise SseError("--check writes nothing: give it without --output and --beside")
    directory = Path(resolve(model))
    if beside:
        add_beside(directory, beside)
    text = render_card(directory, name=name)
    if check is not None:
        if check.read_text(encoding="utf-8") != text:
            fail(f"{check}: is not the card of {model}; write it again: sse card {model} -o {check}", 1)
        show(f"{check}: is the card of {model}")
    elif output is not None:
        with staged_file(output) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
        show(f"{output}: {len(text.splitlines())} lines")
    else:
        show(text.rstrip("\n"))
