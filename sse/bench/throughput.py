"""Texts a second on one thread, by the CPU time of this process, and two threads against one by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sse.bench.methods import Loaded, Method
from sse.bench.pairing import Spread, paired_ratio, ratios_to, time_rounds
from sse.bench.settings import Settings
from sse.bench.texts import TextSet


@dataclass(frozen=True)
class Throughput:
    """One method on one set of texts, one thread."""

    method: str
    texts: str
    """Name of the set."""
    texts_per_second: float
    megabytes_per_second: float
    tokens_per_second: float
    """Of the model's own tokenizer, for every method."""
    times_peer: dict[str, Spread]
    """How many times faster than each peer."""


@dataclass(frozen=True)
class TwoThreads:
    """One method on one set of texts, two threads against one."""

    method: str
    texts: str
    texts_per_second: float
    """With two threads."""
    times_one_thread: Spread


def measure_throughput(
    loaded: Mapping[str, Loaded],
    peers: Sequence[str],
    texts: TextSet,
    tokens: int,
    settings: Settings,
) -> list[Throughput]:
    """Time all methods in turn on the same texts.

    Args:
        loaded: Method name to the loaded method, peers included.
        peers: Which of them are peers.
        texts: The texts.
        tokens: Tokens in all the texts.
        settings: Rounds and shortest time.
    """
    for method in loaded.values():
        method.many(texts.texts)  # what happens once, such as filling a cache, is not throughput
    runs = {name: partial(method.many, texts.texts) for name, method in loaded.items()}
    seconds = time_rounds(runs, rounds=settings.rounds, clock=time.process_time, shortest=settings.shortest)
    rows = []
    for name in loaded:
        median = Spread.of(seconds[name]).median
        rows.append(
            Throughput(
                name,
                texts.name,
                len(texts.texts) / median,
                texts.megabytes / median,
                tokens / median,
                ratios_to(peers, name, seconds),
            )
        )
    return rows


def measure_two_threads(method: Method, texts: TextSet, settings: Settings) -> TwoThreads:
    """Time a method with two threads and with one, in turn, by the clock on the wall.

    The texts are repeated into one larger batch: a small one is done before a second thread is of use.
    """
    batch = texts.texts * math.ceil(settings.two_threads_bytes / 1e6 / texts.megabytes)
    models = {"one": method.load(1), "two": method.load(2)}
    for model in models.values():
        model.many(batch)
    runs = {name: partial(model.many, batch) for name, model in models.items()}
    seconds = time_rounds(runs, rounds=settings.rounds, clock=time.perf_counter, shortest=settings.shortest)
    return TwoThreads(
        method.name,
        texts.name,
        len(batch) / Spread.of(seconds["two"]).median,
        paired_ratio(seconds["one"], seconds["two"]),
    )
