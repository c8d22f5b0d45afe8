"""The command ``sse``: parses, calls one function, prints. A user's mistake is one sentence and exit code 2."""

from __future__ import annotations

from typing import Annotated

import typer

from sse.cli.hub import push
from sse.cli.measuring import bench, compare, evaluate, sts
from sse.cli.publishing import card, export
from sse.cli.running import encode, search
from sse.cli.shared import ModelFirst, fail, show
from sse.cli.training import decontaminate, quickstart, soup, train
from sse.errors import SseError

__all__ = ["app", "main"]

app = typer.Typer(
    name="sse",
    help="Train, measure, publish and search with static embedding models for retrieval.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line; the entry point of ``sse``."""
    try:
        app()
    except SseError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 2)


def _version(asked: bool) -> None:
    if asked:
        from sse import __version__

        show(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# In the order of ``sse --help``.
app.command()(train)
app.command()(soup)
app.command()(decontaminate)
app.command(name="eval")(evaluate)
app.command()(sts)
app.command()(compare)
app.command()(export)
app.command()(card)
app.command()(push)
app.command(cls=ModelFirst)(encode)
app.command(cls=ModelFirst)(search)
app.command()(bench)
app.command()(quickstart)
