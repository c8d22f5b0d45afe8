"""What the commands have in common: how they print, how they fail, and options of several of them."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Annotated, Any, NoReturn

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]


class Table(str, Enum):
    """Stored forms of a table."""

    f32 = "f32"
    f16 = "f16"
    int8 = "int8"
    int4 = "int4"


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
