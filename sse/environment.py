"""What a measurement was made with: versions, platform, threads and memory."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("stable-static-embedding", "sentence-transformers", "transformers", "torch", "tokenizers", "numpy")


def versions() -> dict[str, Any]:
    """Versions of Python and of the packages that decide results, the platform and the number of cores."""
    found: dict[str, Any] = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    found["cores"] = os.cpu_count()
    return found


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far, MiB, or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
