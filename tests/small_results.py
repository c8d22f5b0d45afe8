"""Measured results and training facts of a model that nobody trained, for the tests of cards."""

from sse.eval import EvalReport
from sse.eval.results import Scores, SetResult

SETS = {"alpha": (0.5, True), "beta": (0.3, False), "gamma": (0.1, False)}
"""nDCG@10 at 64 dims, and whether it was trained on."""

TRAINING = {
    "recipe": "stand-in",
    "description": "Made for a test",
    "command": "sse train stand-in -o runs/stand-in --set data=DIR",
    "language": "en",
    "license": "cc-by-sa-4.0",
    "trained_on": ["alpha"],
    "vocabulary": "owner/words",
    "start": {"kind": "transformer", "model": "owner/start"},
    "sources": [
        {
            "name": "one",
            "hub": None,
            "license": "CC BY 4.0 | CC0",
            "url": "https://example.org/one",
            "rows": 1200,
            "sha256": "ab" * 32,
        },
        {"name": "two", "hub": "owner/two", "license": None, "url": None, "rows": 34, "sha256": None},
    ],
    "rows": 1234,
    "steps": 5,
    "seconds": 61.4,
    "loss": {"kind": "fused", "scale": 20.0, "dims": [64, 32], "lexical": {"weight": 0.2}},
    "batch_size": 256,
    "eps": 1e-10,
    "seed": 12,
}


def scores(value: float, queries: int = 2) -> Scores:
    return Scores({"ndcg@10": value, "mrr@10": value / 2}, {f"q{number}": value for number in range(queries)})


def report(
    factor: float = 1.0,
    *,
    name: str = "stand-in",
    sets: tuple[str, ...] = tuple(SETS),
    docs: int = 3,
    bm25: bool = True,
    graded: bool = True,
) -> EvalReport:
    """Results whose nDCG@10 is that of SETS times ``factor`` at 64 dims, and .8 of it at 32; BM25 has .4 everywhere."""
    return EvalReport(
        name,
        {
            one: SetResult(
                2,
                docs,
                SETS[one][1],
                {64: scores(factor * SETS[one][0]), 32: scores(factor * SETS[one][0] * 0.8)},
                scores(0.4) if bm25 else None,
            )
            for one in sets
        },
        graded=graded,
    )
