"""The errors that a user can mend. The command line prints them as one sentence and exits with 2."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class SseError(Exception):
    """Something that the user can mend; the message is one sentence that names the file, row or key."""


class InputError(SseError, ValueError):
    """An argument or a text that cannot be used; a text is named by its row.

    Args:
        message: The sentence, with ``{row}`` where the row is to stand.
        row: Which text, from 0, if it is about one.
    """

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message if row is None else message.format(row=row))
        self.message, self.row = message, row

    def moved(self, rows: int) -> InputError:
        """The same error for a batch that came after ``rows`` others."""
        return self if self.row is None else InputError(self.message, self.row + rows)


class MissingExtraError(SseError, ImportError):
    """An optional part of the package is not installed; the message gives the pip line that brings it."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is needed for this: pip install 'stable-static-embedding[{extra}]'")


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an optional part.

    Args:
        module: Dotted name, for example ``"bm25s"``.
        extra: The extra of this distribution that brings it.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(module, extra) from error
