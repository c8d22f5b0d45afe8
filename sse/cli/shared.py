"""What the commands have in common: how they print, how they fail, and options of several of them."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from sse.errors import SseError
from sse.shipped import DEFAULT

AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]

Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit of a Hub id; a commit stays what it is.")
]

MODEL = f"Directory or Hub id of a model, or {DEFAULT}: the one in this package."
OPTIONAL_MODEL = f"Directory or Hub id of a model; left out, it is {DEFAULT}, the one in this package."


class Table(str, Enum):
    """Stored forms of a table."""

    f32 = "f32"
    f16 = "f16"
    int8 = "int8"
    int4 = "int4"


class ModelFirst(TyperCommand):
    """A command ``[MODEL] A B``; its usage line shows the metavars as they are, since only MODEL may be left out."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command's name."""
        names = [param.metavar for param in self.params if param.param_type_name == "argument"]
        return ["[OPTIONS]", *filter(None, names)]


def split_model(
    words: list[str | None], usage: str, folder_of: str | None = None
) -> tuple[str | None, Path, str]:
    """Tell ``[MODEL] A B`` from its words: a model, which may be left out, a file and one thing more.

    Args:
        words: The three places of the command line, None where nothing was given.
        usage: How the command is called, for the error.
        folder_of: The file may be a folder that holds files with this extension.

    Raises:
        SseError: There are fewer than two words, or a directory stands where the file should.
    """
    given = [word for word in words if word is not None]
    if len(given) < 2:
        raise SseError(f"something is missing: {usage}")
    model = given.pop(0) if len(given) == 3 else None
    file = Path(given[0])
    if file.is_dir() and not (folder_of and any(file.rglob(f"*{folder_of}"))):
        raise SseError(f"{given[0]}: is a directory, not a file of texts: {usage}")
    return model, file, given[1]


def fail(message: str, code: int) -> NoReturn:
    """One sentence on standard error, and the end."""
    sys.stdout.flush()
    print(f"sse: {message}", file=sys.stderr)  # noqa: T201
    raise SystemExit(code)


def show(text: str) -> None:
    """What was asked for, on standard output."""
    print(text)  # noqa: T201


def show_json(value: Any) -> None:
    """The same for programs."""
    show(json.dumps(value, indent=2, ensure_ascii=False))


def say(line: str) -> None:
    """How far it is, on standard error."""
    print(line, file=sys.stderr)  # noqa: T201
