"""``sse encode`` and ``sse search``."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sse.cli.shared import OPTIONAL_MODEL, AsJson, Revision, fail, show, show_json, split_model

TEXTS = "Text (one a line), JSON lines, CSV or Parquet."


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


def encode(
    first: Annotated[str | None, typer.Argument(metavar="[MODEL]", help=OPTIONAL_MODEL)] = None,
    second: Annotated[str | None, typer.Argument(metavar="INPUT", help=TEXTS)] = None,
    third: Annotated[
        str | None, typer.Argument(metavar="OUTPUT", help="Vectors, one row a text: .npy or .parquet.")
    ] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Use only the first dimensions.")] = None,
    precision: Annotated[Precision, typer.Option(help="How the vectors are stored.")] = Precision.f32,
    field: Annotated[str | None, typer.Option(help="Which field of a record to encode.")] = None,
    kind: Annotated[Kind, typer.Option(help="Texts that are searched, or looked for.")] = Kind.document,
    threads: Annotated[
        int | None, typer.Option(min=1, help="By default one for every core that may be used.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="What computes: auto chooses the fastest.")] = Backend.auto,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Encode the texts of a file; a run that was stopped goes on when it is started again."""
    from sse.edge import Encoder
    from sse.encode import check_places, encode_file

    model, input, target = split_model([first, second, third], "sse encode [MODEL] INPUT OUTPUT")
    output = Path(target)
    check_places(input, output)
    encoder = Encoder.from_pretrained(
        model, dim=dim, revision=revision, backend=backend.value, threads=threads
    )
    try:
        done = encode_file(encoder, input, output, precision=precision.value, field=field, kind=kind.value)
    except KeyboardInterrupt:
        fail(f"{output}: stopped; the same command goes on from here", 130)
    if as_json:
        show_json({**asdict(done), "output": str(done.output), "seconds": round(done.seconds, 3)})
    else:
        rate = (done.rows - done.resumed_rows) / max(done.seconds, 1e-9)
        show(f"{output}: {done.rows:,} vectors of {done.dim} dims, {done.precision}, {rate:,.0f} a second")


def search(
    first: Annotated[str | None, typer.Argument(metavar="[MODEL]", help=OPTIONAL_MODEL)] = None,
    second: Annotated[str | None, typer.Argument(metavar="FILE", help=TEXTS)] = None,
    third: Annotated[str | None, typer.Argument(metavar="QUERY", help="What to look for.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many to show.")] = 5,
    field: Annotated[str | None, typer.Option(help="Which field of a record to search.")] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Use only the first dimensions.")] = None,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Find the lines or records of a file that are nearest to a query."""
    from sse.edge import Encoder
    from sse.search import search as run
    from sse.texts import read_texts

    model, file, query = split_model([first, second, third], "sse search [MODEL] FILE QUERY")
    texts = read_texts(file, field)
    hits = run(Encoder.from_pretrained(model, dim=dim, revision=revision), texts, query, k=k)
    if as_json:
        show_json([{"score": hit.score, "number": hit.number, "text": hit.text} for hit in hits])
    else:
        for hit in hits:
            show(f"{hit.score:.3f}  {hit.number}: {hit.text}")
