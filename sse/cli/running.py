"""``sse encode`` and ``sse search``."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from sse.cli.shared import OPTIONAL_MODEL, AsJson, Revision, fail, show, show_json, split_model
from sse.errors import require

TEXTS = "Text (one a line), JSON lines, CSV or Parquet."
TEXTS_OR_FOLDER = f"{TEXTS[:-1]}; or a folder of Parquet files."


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


class Engine(str, Enum):
    """Where the files of a folder are encoded."""

    local = "local"
    ray = "ray"


def encode(
    first: Annotated[str | None, typer.Argument(metavar="[MODEL]", help=OPTIONAL_MODEL)] = None,
    second: Annotated[str | None, typer.Argument(metavar="INPUT", help=TEXTS_OR_FOLDER)] = None,
    third: Annotated[
        str | None,
        typer.Argument(metavar="OUTPUT", help="Vectors, one row a text: .npy or .parquet; or a new folder."),
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
    engine: Annotated[
        Engine, typer.Option(help="Of a folder: one file after another here, or many on a Ray cluster.")
    ] = Engine.local,
    workers: Annotated[int | None, typer.Option(min=1, help="On Ray; by default one for each core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Encode the texts of a file or folder; a run that was stopped goes on when it is started again."""
    from sse.edge import Encoder
    from sse.encode import EncodeResult, check_places, encode_file
    from sse.encode_folder import check_folders, encode_folder, parquet_files

    usage = "sse encode [MODEL] INPUT OUTPUT"
    model, input, target = split_model([first, second, third], usage, folder_of=".parquet")
    output = Path(target)
    folder = input.is_dir() or engine is Engine.ray
    if folder:
        parquet_files(input)
        check_folders(input, output)
    else:
        check_places(input, output)
    if engine is Engine.ray:
        require("ray", "ray")
        threads = threads or 1  # of each worker, which has one core
    encoder = Encoder.from_pretrained(
        model, dim=dim, revision=revision, backend=backend.value, threads=threads
    )
    options: dict[str, Any] = {"precision": precision.value, "field": field, "kind": kind.value}
    done: EncodeResult
    try:
        if folder:
            done = encode_folder(encoder, input, output, engine=engine.value, workers=workers, **options)
        else:
            done = encode_file(encoder, input, output, **options)
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
