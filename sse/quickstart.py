"""The main job end to end in a few minutes, on text that every Python has: its documentation."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from sentence_transformers import SentenceTransformer

from sse.docstrings import DocPair, docstring_pairs
from sse.edge import Encoder
from sse.errors import SseError
from sse.eval import Suite, evaluate
from sse.export import export
from sse.files import staged_file, write_json
from sse.search import search
from sse.shipped import DEFAULT, has_shipped
from sse.training import Recipe, train

PAIRS = 30_000
HELD_OUT_DOCUMENTS, QUERIES = 3000, 500
SEARCHES = (
    "copy a whole directory tree to another place",
    "parse a date and time from a string",
    "run a function in several processes in parallel",
)


def quickstart(output: str | Path, *, say: Callable[[str], None] = print, pairs: int = PAIRS) -> Path:
    """Train, measure, export, load again and search: with the model in this package, or else with the new one.

    Args:
        output: Directory for the text, the trained and the exported model; an earlier quickstart is replaced.
        say: Where the report goes, line by line.
        pairs: How many docstrings to use at most.

    Returns:
        The exported model's directory.

    Raises:
        SseError: ``output`` holds something else.
    """
    output = Path(output)
    _make_room(output)
    say(f"1. Reading the docstrings of this Python and its packages (up to {pairs:,}) ...")
    training, suite, documents = _split(docstring_pairs(pairs))
    with staged_file(output / "data" / "pairs.jsonl") as part, open(part, "w", encoding="utf-8") as file:
        for pair in training:
            file.write(json.dumps({"anchor": pair.anchor, "positive": pair.positive}) + "\n")
    say(
        f"   {len(training):,} pairs to train on, {len(suite.queries)} queries and {len(suite.corpus):,} texts held out"
    )

    say("2. Training a vocabulary and a model on them ...")
    result = train(Recipe.load("quickstart", [f"data={output / 'data'}"]), output / "trained")
    say(f"   {result.steps} steps in {result.seconds:.0f} s, loss {result.loss:.3f}")

    say("3. Measuring on the held-out texts, beside BM25 ...")
    report = evaluate(result.model, [suite], name="quickstart")
    report.save(output / "trained" / "eval")
    say("")
    say(report.table())
    say("")

    exported = output / "model"
    export(output / "trained", exported, name=str(exported))
    say(f"4. Exported to {exported}; loading it as anyone would:")
    say(f'   SentenceTransformer("{exported}", trust_remote_code=True)')
    model = SentenceTransformer(str(exported), trust_remote_code=True, device="cpu")

    shipped = has_shipped()
    say(f"5. Searching all the texts with {f'{DEFAULT}, the model in this package' if shipped else 'it'}:")
    searcher = Encoder.from_pretrained() if shipped else model
    for query in SEARCHES:
        say(f"\n   {query}")
        for hit in search(searcher, [pair.positive for pair in documents], query, k=3):
            say(f"   {hit.score:.2f}  {documents[hit.number - 1].anchor[:100]}")
    own = "" if shipped else f"{exported} "
    say(f"\nDone. Try your own: sse search {own}README.md 'what is this'")
    return exported


def _make_room(output: Path) -> None:
    marker = output / "quickstart.json"
    if output.exists() and not marker.is_file() and (output.is_file() or any(output.iterdir())):
        raise SseError(f"{output}: exists and is not from a quickstart; name another directory (--output)")
    for name in ("data", "trained", "model"):
        shutil.rmtree(output / name, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    write_json(marker, {"made_by": "sse quickstart"})


def _split(pairs: list[DocPair]) -> tuple[list[DocPair], Suite, list[DocPair]]:
    """Hold out a share of the texts by a hash of the text; the queries belong to the first of them."""
    ordered = sorted(
        pairs, key=lambda pair: hashlib.sha1(pair.positive.encode("utf-8", "replace")).hexdigest()
    )
    count = min(HELD_OUT_DOCUMENTS, len(ordered) // 4)
    held_out, training = ordered[:count], ordered[count:]
    asked = held_out[: min(QUERIES, count)]
    suite = Suite(
        name="docstrings",
        queries={f"q{n}": pair.anchor for n, pair in enumerate(asked)},
        corpus={f"d{n}": pair.positive for n, pair in enumerate(held_out)},
        qrels={f"q{n}": {f"d{n}": 1.0} for n in range(len(asked))},
    )
    return training, suite, ordered
