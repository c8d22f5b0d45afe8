"""The report: every row in every form, and files that say nothing about where things lie."""

import json

import pytest

from sse.bench import BenchReport
from sse.bench.cold_start import ColdStart
from sse.bench.latency import Latency
from sse.bench.memory import PeakMemory
from sse.bench.pairing import Spread
from sse.bench.report import TextFacts
from sse.bench.throughput import Throughput, TwoThreads

PEERS = ["model2vec", "sentence-transformers"]
METHODS = ["int8 native", "int8 numpy", *PEERS]


def ratios(method: str, value: float) -> dict[str, Spread]:
    return {peer: Spread(value, value - 1, value + 1) for peer in PEERS if peer != method}


def make(methods=METHODS, peers=PEERS) -> BenchReport:
    return BenchReport(
        command="sse bench my-model",
        model="my-model",
        dim=512,
        vocab_size=30522,
        file_mb={"int8": 15.75},
        peers=list(peers),
        left_out={"two threads": "this process may use one core only"},
        environment={"versions": {"model2vec": "0.10.0"}, "python": "3.11", "processor": "Some CPU"},
        texts=[
            TextFacts("queries", 4096, 12.0, 73.2, 15.8),
            TextFacts("passages", 1024, 150.0, 920.0, 197.0),
        ],
        throughput=[
            Throughput(method, texts, 1234.5 + n, 7.25, 98765.0, ratios(method, 21.0 + n))
            for texts in ("queries", "passages")
            for n, method in enumerate(methods)
        ],
        latency=[
            Latency(method, 2560, 5.61, 17.2, ratios(method, 61.5), {p: 301.0 for p in PEERS if p != method})
            for method in methods
        ],
        two_threads=[TwoThreads("int8 native", "passages", 70123.0, Spread(1.83, 1.8, 1.9))],
        cold_start=[
            ColdStart(method, Spread(80.1, 70, 90), 23.4, None, ratios(method, 22.2), ratios(method, 5.55))
            for method in methods
        ],
        peak_memory=[PeakMemory("int8 native", 10.0, 8.12), PeakMemory("the tokenizer", 10.0, 922.0)],
    )


def test_markdown_has_every_row_and_number():
    text = make().markdown()
    sections = {part.splitlines()[0]: part for part in text.split("\n## ")[1:]}
    for title in (
        "Throughput, queries, one thread (CPU time)",
        "Throughput, passages, one thread (CPU time)",
        "Latency of one query, warm (wall)",
        "Cold start: new process to first vector (wall)",
    ):
        rows = [line.split(" | ")[0].removeprefix("| ") for line in sections[title].splitlines()[4:]]
        assert [row for row in rows if row] == METHODS, title
    for lines in (part.splitlines()[2:] for part in sections.values()):
        assert len({line.count("|") for line in lines if line}) == 1  # as many cells as there are heads
    for expected in (
        "| int8 numpy | 1,236 | 7.25 | 98,765 | 22 (21 to 23) | 22 (21 to 23) |",
        "| int8 native | 5.61 | 17.2 | 61.5 (60.5 to 62.5) | 61.5 (60.5 to 62.5) | 301 | 301 |",
        "| int8 native | passages | 70,123 | 1.83 (1.8 to 1.9) |",
        "| the tokenizer | 10 | 922 |",
        "Written by `sse bench my-model`.",
        "model2vec 0.10.0",
        "Some CPU",
        "Not measured: two threads (this process may use one core only)",
        "weights file: int8 15.8 MB",
        "4096 different texts of 12.0 words, 73 bytes, 15.8 tokens",
    ):
        assert expected in text, expected


def test_json_says_the_same():
    value = json.loads(json.dumps(make().to_dict()))
    assert value["schema"] == 1
    assert value["throughput"][0]["times_peer"]["model2vec"] == {"median": 21.0, "low": 20.0, "high": 22.0}
    assert value["cold_start"][0]["anonymous_mb"] is None
    assert value["two_threads"][0]["times_one_thread"]["median"] == 1.83


def test_the_plot_has_every_method_but_the_peers():
    values = make().plot_values()
    assert list(values) == PEERS
    for kinds in values.values():
        assert list(kinds) == [
            "throughput, queries",
            "throughput, passages",
            "latency, median",
            "cold start",
            "memory after start",
        ]
        assert all(list(rows) == ["int8 native", "int8 numpy"] for rows in kinds.values())


def test_files(tmp_path):
    pytest.importorskip("matplotlib")
    make().save(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"bench.json", "bench.md", "bench.png"}
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")
    make(["int8 native"], []).save(tmp_path / "alone")  # nothing to draw without a peer
    assert {path.name for path in (tmp_path / "alone").iterdir()} == {"bench.json", "bench.md"}
