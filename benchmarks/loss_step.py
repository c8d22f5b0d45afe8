"""A training step with the fused loss against one with the losses of sentence-transformers, side by side.

A step is forward, loss, backward and fused AdamW on a 30522 x 512 SSE table, from ready features: about 12 tokens
an anchor and 80 a positive, ids drawn by Zipf's law. The fused loss runs with its defaults, so it also looks for
equal texts, and embeds both columns in one call. "Loss alone" is forward and backward of the loss from ready
vectors. Both losses run in turn in one process, so that other load meets both; ratios are medians over the
pairs. Extra memory is how far a fresh process' resident peak rises while it computes the loss alone once, in
float32.

    python benchmarks/loss_step.py --threads 1 2    # writes loss_step.md beside this file
    python benchmarks/loss_step.py --batches 512 --repeats 3 --output -
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models
from torch import Tensor, nn

from sse.modeling import SSE, build_model
from sse.training.loss.fused import FusedMatryoshkaMNRL

try:  # sentence-transformers >= 6
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
except ImportError:
    from sentence_transformers.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

VOCABULARY, WIDTH, DIMS = 30522, 512, (512, 256, 128, 64, 32)
ANCHOR_TOKENS, POSITIVE_TOKENS = 12, 80
KINDS = ("reference", "fused")


class Vectors(nn.Module):
    """A model whose features are the vectors, to time a loss alone."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Hand the vectors on."""
        return {"sentence_embedding": features["vectors"]}

    def get_embedding_dimension(self) -> int:
        """Width of the vectors."""
        return WIDTH

    get_sentence_embedding_dimension = get_embedding_dimension


def make_loss(kind: str, model: nn.Module) -> nn.Module:
    """The fused loss with its defaults, masks included, or what it replaces."""
    if kind == "fused":
        return FusedMatryoshkaMNRL(model, DIMS)
    loss: nn.Module = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model), list(DIMS))
    return loss


def make_features(batch: int, mean_tokens: int) -> dict[str, Tensor]:
    """Flat features of ``batch`` texts: lengths from Poisson, log-uniform ids."""
    lengths = torch.poisson(torch.full((batch,), float(mean_tokens))).long().clamp_min(1)
    ids = torch.exp(torch.rand(int(lengths.sum())) * torch.tensor(float(VOCABULARY)).log()).long() - 1
    return {"input_ids": ids.clamp(0, VOCABULARY - 1), "offsets": lengths.cumsum(0) - lengths}


def make_vectors(batch: int) -> list[Tensor]:
    """Anchors, and positives that are somewhat like them."""
    anchors, positives = torch.tanh(torch.randn(2, batch, WIDTH)).unbind()
    return [anchors.requires_grad_(), (positives + anchors.detach() / 4).requires_grad_()]


def make_step(kind: str, batch: int, bf16: bool) -> Callable[[], None]:
    """One whole training step of a model of its own."""
    torch.manual_seed(0)
    words = {str(number): number for number in range(VOCABULARY)}
    model: SentenceTransformer = build_model(SSE(Tokenizer(models.WordLevel(words, unk_token="0")), WIDTH))
    loss, features = (
        make_loss(kind, model),
        [make_features(batch, n) for n in (ANCHOR_TOKENS, POSITIVE_TOKENS)],
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss([dict(column) for column in features], None)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def make_loss_alone(kind: str, batch: int, bf16: bool) -> Callable[[], None]:
    """Forward and backward of the loss from ready vectors."""
    torch.manual_seed(0)
    loss, vectors = make_loss(kind, Vectors()), make_vectors(batch)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            value = loss([{"vectors": column} for column in vectors], None)
        value.backward()
        for column in vectors:
            column.grad = None

    return run


@dataclass(frozen=True)
class Comparison:
    """Median milliseconds of both, and the median of the paired ratios."""

    reference: float
    fused: float
    ratio: float

    def cells(self) -> str:
        """Three cells of a table."""
        return f"{self.reference:.0f} | {self.fused:.0f} | {self.ratio:.2f}"


def compare(
    make: Callable[[str, int, bool], Callable[[], None]], batch: int, bf16: bool, repeats: int
) -> Comparison:
    """Run both in turn ``repeats`` times after one run each that does not count; the order alternates."""
    runs = {kind: make(kind, batch, bf16) for kind in KINDS}
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for repeat in range(repeats + 1):
        for kind in KINDS if repeat % 2 else reversed(KINDS):
            start = time.perf_counter()
            runs[kind]()
            if repeat:
                times[kind].append(1000 * (time.perf_counter() - start))
    ratios = [ours / theirs for ours, theirs in zip(times["fused"], times["reference"], strict=True)]
    return Comparison(median(times["reference"]), median(times["fused"]), median(ratios))


def resident_peak() -> int:
    """Highest resident memory of this process so far, in MB (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def print_peak(kind: str, batch: int) -> None:
    """Print the extra memory of this process in MB; for a process that does nothing else."""
    make_loss_alone(kind, 64, False)()
    run = make_loss_alone(kind, batch, False)
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # the peak starts again from what is resident
    before = resident_peak()
    run()
    print(resident_peak() - before)


def peak(kind: str, batch: int) -> str:
    """Extra memory of the loss alone, in MB, where the system tells it."""
    if not Path("/proc/self/clear_refs").exists():
        return "?"
    command = [sys.executable, "-W", "ignore", __file__, "--peak", kind, "--batches", str(batch)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def table(batches: list[int], threads: list[int], repeats: int) -> str:
    """Measure everything; returns Markdown."""
    lines = [
        "# A training step: fused loss against MatryoshkaLoss(MultipleNegativesRankingLoss)",
        "",
        f"Written by `benchmarks/loss_step.py`, whose head says what is measured. Dims {list(DIMS)}, "
        f"torch {torch.__version__}, sentence-transformers {sentence_transformers.__version__}, "
        f"CPU with {torch.backends.cpu.get_cpu_capability()}, medians of {repeats} pairs. "
        "Times in ms; ratio is fused / reference.",
        "",
        "| batch | threads | precision | step: reference | fused | ratio | loss alone: reference | fused | ratio "
        "| extra memory, MB: reference | fused |",
        "|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for batch in batches:
        memory = " | ".join(peak(kind, batch) for kind in KINDS)
        for count in threads:
            torch.set_num_threads(count)
            for name, bf16 in (("float32", False), ("bfloat16 autocast", True)):
                step = compare(make_step, batch, bf16, repeats)
                alone = compare(make_loss_alone, batch, bf16, repeats)
                lines.append(f"| {batch} | {count} | {name} | {step.cells()} | {alone.cells()} | {memory} |")
                print(lines[-1], file=sys.stderr, flush=True)
                memory = " | "
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 2048, 4096])
    parser.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--output", default=str(Path(__file__).with_suffix(".md")), help="a file, or - to print"
    )
    parser.add_argument("--peak", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.peak, arguments.batches[0])
        return
    text = table(arguments.batches, arguments.threads, arguments.repeats)
    if arguments.output == "-":
        print(text)
    else:
        Path(arguments.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
