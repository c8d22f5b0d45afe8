"""``bench``: all measurements of one model, in turn, as a report."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sse.bench.cold_start import measure_cold_start
from sse.bench.latency import WARM_UP, measure_latency
from sse.bench.memory import HUGGING_FACE, measure_peak_memory, tokenizer_source
from sse.bench.methods import Method, Model, own_methods
from sse.bench.peers import choose_peers, write_peers
from sse.bench.report import BenchReport, TextFacts
from sse.bench.settings import FULL, QUICK, Settings, one_thread
from sse.bench.texts import (
    PASSAGE_WORDS,
    QUERY_WORDS,
    TextSet,
    cut_texts,
    long_text,
    prose_words,
    words_of_file,
)
from sse.bench.throughput import TwoThreads, measure_throughput, measure_two_threads
from sse.environment import describe_environment
from sse.errors import MissingExtraError, SseError, require
from sse.shipped import resolve


def bench(
    model: str | Path,
    *,
    tables: Sequence[str] | None = None,
    peers: Sequence[str] | None = None,
    text: str | Path | None = None,
    quick: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> BenchReport:
    """Measure throughput, latency, two threads, cold start and memory of a model on this machine's CPU.

    Args:
        model: Directory of an exported model, or ``"sse-en-small"``, the one in this package.
        tables: Forms of the table to measure, such as ``("f32", "int8")``; by default the one that is stored.
            Others are exported into a temporary directory, which needs a float32 model and the ``train`` extra.
        peers: Out of ``"model2vec"`` and ``"sentence-transformers"``; by default those that are installed.
        text: A UTF-8 text file to measure on; by default Python's own documentation.
        quick: Measure little: a look, not figures to quote.
        say: Where progress goes, line by line.

    Raises:
        SseError: The model cannot be read, a table cannot be made, a peer is unknown or missing, there is too
            little text, or a process that was measured stopped.
    """
    require("psutil", "bench")
    settings = QUICK if quick else FULL
    directory = Path(resolve(model))
    with tempfile.TemporaryDirectory(prefix="sse-bench-") as folder, one_thread():
        stored = Model.open(directory)
        chosen = choose_peers(peers)
        say("reading the texts ...")
        words = words_of_file(text) if text is not None else prose_words()
        queries = cut_texts(words, "queries", settings.queries, QUERY_WORDS)
        passages = cut_texts(words, "passages", settings.passages, PASSAGE_WORDS)
        long_file = Path(folder) / "long.txt"
        long_file.write_text(long_text(words, settings.long_text_bytes), encoding="utf-8")
        models = [
            _with_table(stored, table, Path(folder), say) for table in dict.fromkeys(tables or [stored.table])
        ]
        methods: list[Method] = []
        left_out: dict[str, str] = {}
        for one in models:
            rows, missing = own_methods(one)
            methods += rows
            left_out |= missing
        others = write_peers(chosen, stored, Path(folder))
        tokens = _count_tokens(models[0], [queries, passages])
        measured = _measure(methods, others, [queries, passages], tokens, settings, say)
        sources = {method.name: method.source for method in methods if _takes_long_text(method)}
        try:
            require("tokenizers", "bench")
        except MissingExtraError as error:
            left_out[HUGGING_FACE] = str(error)
        else:
            sources[HUGGING_FACE] = tokenizer_source(stored)
        if _cores() < 2:
            left_out["two threads"] = "this process may use one core only"
        say(f"peak memory on a text of {settings.long_text_bytes / 1e6:g} MB ...")
        shape = stored.describe()
        return BenchReport(
            command=_command(directory, tables, peers, text, quick),
            model=directory.resolve().name,
            dim=shape["dim"],
            vocab_size=shape["vocab_size"],
            file_mb={one.table: one.file_megabytes for one in models},
            peers=[method.name for method in others],
            left_out=left_out,
            environment=_describe_machine(),
            texts=[_facts(texts, tokens[texts.name]) for texts in (queries, passages)],
            peak_memory=measure_peak_memory(sources, long_file),
            **measured,
        )


def _with_table(stored: Model, table: str, folder: Path, say: Callable[[str], None]) -> Model:
    """The model itself, or a copy of it whose table is stored in another form."""
    if table == stored.table:
        return stored
    if stored.table != "f32":
        raise SseError(
            f"{stored.directory}: its table is stored as {stored.table}, so {table} cannot be made of it; "
            "give a model whose table is f32"
        )
    require("torch", "train").set_num_threads(1)
    say(f"exporting the table as {table} ...")
    # By name, so that the types of torch are not needed for what is used of it: a function.
    import_module("sse.export").export(stored.directory, folder / table, table=table)
    return Model.open(folder / table)


def _measure(
    methods: Sequence[Method],
    others: Sequence[Method],
    texts: Sequence[TextSet],
    tokens: dict[str, int],
    settings: Settings,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Everything but the peak of memory, by the names of the report's fields."""
    peers = [method.name for method in others]
    say(f"loading {len(methods) + len(others)} methods ...")
    loaded = {method.name: method.load(1) for method in (*methods, *others)}
    many = {method.name: loaded[method.name] for method in (*methods, *others) if not method.without_numpy}
    throughput, two_threads = [], list[TwoThreads]()
    for one in texts:
        say(f"throughput on {len(one.texts)} {one.name}, {settings.rounds} rounds ...")
        throughput += measure_throughput(many, peers, one, tokens[one.name], settings)
    say(f"latency over {settings.latency_queries} queries ...")
    queries = texts[0].texts
    warm_up, counted = queries[:WARM_UP], queries[WARM_UP : WARM_UP + settings.latency_queries]
    latency = measure_latency(loaded, peers, counted, warm_up)
    if _cores() >= 2:
        say("two threads against one ...")
        two_threads = [
            measure_two_threads(method, one, settings)
            for one in texts
            for method in methods
            if method.has_threads
        ]
    del loaded, many
    say(f"cold start, {settings.cold_starts} runs ...")
    cold_start = measure_cold_start([*methods, *others], settings.cold_starts)
    return {
        "throughput": throughput,
        "latency": latency,
        "two_threads": two_threads,
        "cold_start": cold_start,
    }


def _takes_long_text(method: Method) -> bool:
    """Fewer columns read the same text with the same tokenizer: nothing new."""
    return not method.name.endswith("columns")


def _count_tokens(model: Model, sets: Sequence[TextSet]) -> dict[str, int]:
    encoder = model.encoder()
    return {texts.name: sum(map(len, encoder.tokenize(texts.texts))) for texts in sets}


def _facts(texts: TextSet, tokens: int) -> TextFacts:
    count = len(texts.texts)
    return TextFacts(texts.name, count, texts.mean_words, texts.megabytes * 1e6 / count, tokens / count)


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _describe_machine() -> dict[str, Any]:
    """The package's description of the environment, with the processor: here it decides the numbers."""
    facts: dict[str, Any] = {**describe_environment(), "cores": _cores(), "processor": platform.processor()}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    facts["processor"] = names[0] if names else facts["processor"] or platform.machine()
    return facts


def _command(
    model: Path,
    tables: Sequence[str] | None,
    peers: Sequence[str] | None,
    text: str | Path | None,
    quick: bool,
) -> str:
    """The command line that does this, without the folders that things lie in."""
    words = ["sse", "bench", model.resolve().name]
    for table in tables or ():
        words += ["--table", table]
    if peers is not None:
        words += ["--peers", ",".join(peers) or "none"]
    if text is not None:
        words += ["--text", Path(text).name]
    return shlex.join(words + ["--quick"] * quick)
