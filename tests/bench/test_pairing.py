"""Ratios, medians and rounds, from timings that are made up."""

from dataclasses import replace

import pytest

from sse.bench.latency import measure_latency, percentile
from sse.bench.methods import Loaded, Method
from sse.bench.pairing import Spread, paired_ratio, ratios_to, time_rounds
from sse.bench.settings import QUICK
from sse.bench.texts import TextSet
from sse.bench.throughput import measure_throughput, measure_two_threads


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        def run(*ignored):
            self.now += seconds

        return run


def test_a_ratio_is_of_the_same_round():
    # The machine was ten times slower in the last round: ratios of medians would say 20 / 1, not 2.
    assert paired_ratio([2.0, 2.0, 20.0], [1.0, 1.0, 10.0]) == Spread(2.0, 2.0, 2.0)
    assert paired_ratio([3.0, 8.0, 1.0], [1.0, 4.0, 1.0]) == Spread(2.0, 1.5, 2.5)
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


def test_a_peer_has_no_ratio_to_itself():
    values = {"ours": [1.0], "a": [4.0], "b": [8.0]}
    assert {peer: ratio.median for peer, ratio in ratios_to(["a", "b"], "ours", values).items()} == {
        "a": 4.0,
        "b": 8.0,
    }
    assert {peer: ratio.median for peer, ratio in ratios_to(["a", "b"], "b", values).items()} == {"a": 0.5}


def test_fast_methods_are_repeated_and_the_time_is_of_one_pass():
    clock, calls = Clock(), []

    def method(name, seconds):
        work = clock.work(seconds)
        return lambda: (calls.append(name), work())

    seconds = time_rounds(
        {"slow": method("slow", 4.0), "fast": method("fast", 0.5), "faster": method("faster", 0.125)},
        rounds=2,
        clock=clock,
        shortest=1.0,
    )
    assert seconds == {"slow": [4.0, 4.0], "fast": [0.5, 0.5], "faster": [0.125, 0.125]}
    first = ["slow"] + ["fast"] * 2 + ["faster"] * 5
    assert calls == first + ["fast"] * 2 + ["faster"] * 5 + ["slow"]  # another begins the second round


def test_throughput_is_texts_bytes_and_tokens_by_the_median(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.process_time", clock)
    loaded = {
        "ours": Loaded(clock.work(0.5), clock.work(0)),
        "peer": Loaded(clock.work(2.0), clock.work(0)),
    }
    settings = replace(QUICK, rounds=3, shortest=0.1)
    texts = TextSet("queries", ["é" * 250_000, "b" * 500_000])
    ours, peer = measure_throughput(loaded, ["peer"], texts, 30, settings)
    assert (ours.texts_per_second, ours.megabytes_per_second, ours.tokens_per_second) == (4.0, 2.0, 60.0)
    assert ours.times_peer == {"peer": Spread(4.0, 4.0, 4.0)}
    assert (peer.texts_per_second, peer.times_peer) == (1.0, {})


def test_latency_counts_every_query_once_and_no_warm_up(monkeypatch):
    clock, seen = Clock(), []
    monkeypatch.setattr("time.perf_counter", clock)

    def one(seconds):
        def run(text):
            seen.append(text)
            clock.now += 1000.0 if text == "warm" else seconds

        return run

    loaded = {"ours": Loaded(print, one(0.25)), "peer": Loaded(print, one(1.0))}
    queries = [f"query {n}" for n in range(300)]
    ours, peer = measure_latency(loaded, ["peer"], queries, ["warm"])
    assert (ours.queries, ours.p50_us, ours.p99_us) == (300, 250_000.0, 250_000.0)
    assert ours.times_peer_p50 == {"peer": Spread(4.0, 4.0, 4.0)}
    assert ours.times_peer_p99 == {"peer": 4.0}
    assert peer.p50_us == 1_000_000.0
    assert sorted(text for text in seen if text != "warm") == sorted(queries * 2)


def test_percentile():
    assert percentile([float(n) for n in range(101)], 99) == 99.0
    assert percentile([7.0], 99) == 7.0


def test_two_threads_share_one_large_batch(monkeypatch):
    clock, sizes = Clock(), set()
    monkeypatch.setattr("time.perf_counter", clock)

    def load(threads):
        def many(texts):
            sizes.add(len(texts))
            clock.now += {1: 3.0, 2: 2.0}[threads]

        return Loaded(many, print)

    settings = replace(QUICK, two_threads_bytes=1_000_000)
    row = measure_two_threads(Method("ours", load, ""), TextSet("passages", ["a" * 400_000] * 2), settings)
    assert sizes == {4}
    assert (row.texts_per_second, row.times_one_thread) == (2.0, Spread(1.5, 1.5, 1.5))
