"""Things that are slow to make and the same for the same input are kept beside the cache of ``datasets``."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets


def cached(kind: str, suffix: str, *inputs: Any) -> Path:
    """Where the thing made from ``inputs`` is kept; the caller writes it there, whole or not at all."""
    key = sha256(repr(inputs).encode("utf-8")).hexdigest()[:32]
    return Path(datasets.config.HF_DATASETS_CACHE) / "sse" / f"{kind}-{key}{suffix}"
