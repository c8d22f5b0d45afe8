"""``sse export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sse.cli.shared import AsJson, Table, show, show_json
from sse.errors import require


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
        show_json(
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
        show(f"{directory}: table {done.table}, {size}, mean cosine to float32 {done.cosine:.5f}")
        for layout, cosine in done.alternatives:
            show(f"  not taken: {layout}, {cosine:.5f}")
