"""The results of ``sse bench`` as one object, a Markdown table and files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sse.bench.cold_start import ColdStart
from sse.bench.latency import Latency
from sse.bench.memory import PeakMemory
from sse.bench.pairing import Spread
from sse.bench.plot import draw_ratios
from sse.bench.throughput import Throughput, TwoThreads
from sse.files import staged_file, write_json

SCHEMA = 1


@dataclass(frozen=True)
class TextFacts:
    """What a set of texts is like."""

    name: str
    count: int
    mean_words: float
    mean_bytes: float
    mean_tokens: float


@dataclass(frozen=True)
class BenchReport:
    """Everything that was measured, and on what."""

    command: str
    model: str
    dim: int
    vocab_size: int | None
    file_mb: dict[str, float]
    """Table to the size of the weights file, millions of bytes."""
    peers: list[str]
    left_out: dict[str, str]
    """What could not be measured, with the reason."""
    environment: dict[str, Any]
    texts: list[TextFacts]
    throughput: list[Throughput]
    latency: list[Latency]
    two_threads: list[TwoThreads]
    cold_start: list[ColdStart]
    peak_memory: list[PeakMemory]

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        return {"schema": SCHEMA, **asdict(self)}

    def save(self, directory: str | Path) -> None:
        """Write bench.json, bench.md and, if there were peers, bench.png.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        directory = Path(directory)
        write_json(directory / "bench.json", self.to_dict())
        with staged_file(directory / "bench.md") as part:
            part.write_text(self.markdown(), encoding="utf-8")
        if self.peers:
            with staged_file(directory / "bench.png") as part:
                draw_ratios(self.plot_values(), self.model, part)

    def plot_values(self) -> dict[str, dict[str, dict[str, Spread]]]:
        """Peer to measurement to method to how many times better; the peers' own rows are left out."""
        kinds: list[tuple[str, Sequence[tuple[str, Mapping[str, Spread]]]]] = [
            (f"throughput, {facts.name}", self._throughput_ratios(facts.name)) for facts in self.texts
        ]
        kinds.append(("latency, median", [(row.method, row.times_peer_p50) for row in self.latency]))
        kinds.append(("cold start", [(row.method, row.times_peer) for row in self.cold_start]))
        kinds.append(("memory after start", [(row.method, row.times_less_memory) for row in self.cold_start]))
        return {
            peer: {
                kind: {method: ratios[peer] for method, ratios in rows if method not in self.peers}
                for kind, rows in kinds
            }
            for peer in self.peers
        }

    def _throughput_ratios(self, texts: str) -> list[tuple[str, Mapping[str, Spread]]]:
        return [(row.method, row.times_peer) for row in self.throughput if row.texts == texts]

    def markdown(self) -> str:
        """Give all the results as Markdown tables."""
        return "\n".join([*self._head(), *self._tables()]) + "\n"

    def _head(self) -> Iterable[str]:
        machine = ", ".join(
            f"{key} {value}" for key, value in self.environment.items() if not isinstance(value, Mapping)
        )
        versions = ", ".join(
            f"{name} {version}" for name, version in self.environment.get("versions", {}).items()
        )
        files = ", ".join(f"{table} {size:.1f} MB" for table, size in self.file_mb.items())
        yield f"# Speed of {self.model}"
        yield ""
        yield f"Written by `{self.command}`."
        yield ""
        yield f"- Model: {self.dim} dims, {self.vocab_size} rows; weights file: {files}."
        yield f"- Machine: {machine}."
        yield f"- Versions: {versions}."
        for text in self.texts:
            yield (
                f"- {text.name.capitalize()}: {text.count} different texts of {text.mean_words:.1f} words, "
                f"{text.mean_bytes:.0f} bytes, {text.mean_tokens:.1f} tokens on average."
            )
        for name, reason in self.left_out.items():
            yield f"- Not measured: {name} ({reason})."
        yield ""
        yield (
            "All methods run in turn; `x` is how many times better than the peer in the same round: the median "
            "of the rounds and, in brackets, its quartiles. Peers have the same vocabulary and the model's full "
            "width, run with their defaults on one thread, and return plain means."
        )

    def _tables(self) -> Iterable[str]:
        peers = [f"x {peer}" for peer in self.peers]
        for text in self.texts:
            rows = [
                [
                    row.method,
                    _number(row.texts_per_second),
                    _number(row.megabytes_per_second),
                    _number(row.tokens_per_second),
                    *self._ratios(row.times_peer),
                ]
                for row in self.throughput
                if row.texts == text.name
            ]
            head = ["method", "texts/s", "MB/s", "tokens/s", *peers]
            yield from _table(f"Throughput, {text.name}, one thread (CPU time)", head, rows)
        rows = [
            [
                row.method,
                _number(row.p50_us),
                _number(row.p99_us),
                *self._ratios(row.times_peer_p50),
                *(_number(row.times_peer_p99.get(peer)) for peer in self.peers),
            ]
            for row in self.latency
        ]
        head = ["method", "p50, us", "p99, us", *(f"{peer}, p50" for peer in peers)]
        yield from _table("Latency of one query, warm (wall)", [*head, *(f"{p}, p99" for p in peers)], rows)
        rows = [
            [row.method, row.texts, _number(row.texts_per_second), _spread(row.times_one_thread)]
            for row in self.two_threads
        ]
        yield from _table("Two threads (wall)", ["method", "texts", "texts/s", "x one thread"], rows)
        rows = [
            [
                row.method,
                _number(row.milliseconds.median),
                *self._ratios(row.times_peer),
                _number(row.rss_mb),
                _number(row.anonymous_mb),
                *self._ratios(row.times_less_memory),
            ]
            for row in self.cold_start
        ]
        head = ["method", "ms", *peers, "resident MB", "anonymous MB", *(f"{peer}, memory" for peer in peers)]
        yield from _table("Cold start: new process to first vector (wall)", head, rows)
        rows = [[row.method, _number(row.text_mb), _number(row.growth_mb)] for row in self.peak_memory]
        yield from _table("Peak memory on one long text", ["method", "text, MB", "growth, MB"], rows)

    def _ratios(self, ratios: Mapping[str, Spread]) -> list[str]:
        return [_spread(ratios.get(peer)) for peer in self.peers]


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    if not rows:
        return
    yield from ("", f"## {title}", "")
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join(['---', *['---:'] * (len(head) - 1)])} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _spread(value: Spread | None) -> str:
    if value is None:
        return ""
    return f"{_number(value.median)} ({_number(value.low)} to {_number(value.high)})"
