"""How much is measured, and the environment in which every library keeps to one thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ONE_THREAD = {
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",  # a look at the Hub would be measured as a slow start
}
OVERRIDES = ("SSE_BACKEND", "SSE_NUM_THREADS")
"""Variables that would make a row measure something else than its name says."""


@dataclass(frozen=True)
class Settings:
    """Sizes of a measurement."""

    queries: int
    passages: int
    rounds: int
    """Rounds of throughput and of two threads against one."""
    shortest: float
    """A fast method repeats the texts until it has run so many seconds in a round (at most five times)."""
    two_threads_bytes: int
    """Least size of the batch that two threads share."""
    latency_queries: int
    cold_starts: int
    long_text_bytes: int


FULL = Settings(
    queries=4096,
    passages=1024,
    rounds=9,
    shortest=0.2,
    two_threads_bytes=4_000_000,
    latency_queries=2560,
    cold_starts=10,
    long_text_bytes=10_000_000,
)
QUICK = Settings(
    queries=512,
    passages=64,
    rounds=3,
    shortest=0.02,
    two_threads_bytes=1_000_000,
    latency_queries=256,
    cold_starts=2,
    long_text_bytes=200_000,
)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold numpy, torch and tokenizers to one thread inside the block, and child processes too.

    The variables work on libraries that are loaded later; torch, if it is loaded already, is told directly.
    """
    before = {name: os.environ.get(name) for name in (*ONE_THREAD, *OVERRIDES)}
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    os.environ.update(ONE_THREAD)
    for name in OVERRIDES:
        os.environ.pop(name, None)
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if torch:
            torch.set_num_threads(threads)
