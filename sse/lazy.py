"""Public names of a package that are imported when they are first used, so that importing the package is cheap."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any

from sse.errors import require


def lazy(
    package: str, homes: Mapping[str, str], needs: str, free: Collection[str] = ()
) -> Callable[[str], Any]:
    """Make a module's ``__getattr__``.

    Args:
        package: Dotted name of the package, ``__name__``.
        homes: Public name to the module that defines it.
        needs: A module of the ``train`` extra without which they cannot be imported.
        free: Those that can be imported without it.

    Returns:
        A function that imports a name from its home and keeps it in the package.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if name not in free:
            require(needs, "train")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
