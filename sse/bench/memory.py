"""How far memory rises while one long text is encoded, in a fresh process with a warm model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sse.bench.fresh_process import FreshProcess
from sse.bench.methods import Model

HUGGING_FACE = "Hugging Face tokenizer alone"
PIECE = 10_000
# The model is warmed with the same text in pieces: the rows of a mapped table count as resident once they
# were read, and they are not the cost of a long text. ru_maxrss would be of no use: a child of a large
# process starts with the peak of its parent.
_SOURCE = """\
text = open({file!r}, encoding="utf-8").read()
for start in range(0, len(text), {piece}):
    encode([text[start : start + {piece}]])
stage()
encode([text])
stage()
"""


@dataclass(frozen=True)
class PeakMemory:
    """One method on one long text."""

    method: str
    text_mb: float
    growth_mb: float
    """Peak of resident memory during the call, less the memory before it, millions of bytes."""


def measure_peak_memory(sources: Mapping[str, str], text_file: Path) -> list[PeakMemory]:
    """Encode the text in ``text_file`` once with every method.

    Args:
        sources: Method name to Python that defines ``encode``, a function of a list of texts.
        text_file: One long text in UTF-8.

    Raises:
        SseError: A method failed.
    """
    size = text_file.stat().st_size / 1e6
    return [PeakMemory(name, size, _growth(name, source, text_file)) for name, source in sources.items()]


def tokenizer_source(model: Model) -> str:
    """The Hugging Face tokenizer without truncation, through which everything built on it has to go."""
    return (
        "from tokenizers import Tokenizer\n"
        f"tokenizer = Tokenizer.from_file({str(model.tokenizer_file)!r})\n"
        "tokenizer.no_truncation()\n"
        "tokenizer.no_padding()\n"
        "encode = lambda texts: tokenizer.encode(texts[0], add_special_tokens=False)\n"
    )


def _growth(name: str, source: str, text_file: Path) -> float:
    with FreshProcess(source + _SOURCE.format(file=str(text_file), piece=PIECE), name) as process:
        first = process.wait_for_stage()
        process.forget_peak()
        before = process.resident()
        process.go_on()
        last = process.wait_for_stage()
        peak = process.resident().peak_mb
        if peak is None:
            return last.peak_mb - first.peak_mb
        return max(peak - before.rss_mb, 0.0)
