"""What a measurement ran on, for its report: versions, platform, threads. No host or user names, no paths."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    "stable-static-embedding",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
    "tokenizers",
    "model2vec",
    "bm25s",
    "PyStemmer",
)


def peak_memory_mb() -> float | None:
    """Give the largest resident memory of this process so far, MiB, or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))


def describe_environment() -> dict[str, Any]:
    """Give versions of the installed packages that decide the numbers, Python, platform and thread count."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    torch = sys.modules.get("torch")
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads() if torch else os.cpu_count(),
    }
