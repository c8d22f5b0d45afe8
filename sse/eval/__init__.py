"""Model in, results out: retrieval suites, metrics at every dim, the BM25 baseline and the paired bootstrap.

Importing this package needs numpy alone. What needs more (sentence-transformers, bm25s, matplotlib) is
imported when it is used, and a missing extra is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sse.eval.results import EvalReport
from sse.eval.significance import Comparison, compare, compare_with_bm25
from sse.eval.suites import Suite, load_suites
from sse.eval.sweep import evaluate
from sse.lazy import lazy

if TYPE_CHECKING:
    from sse.eval.during_training import SuiteEvaluator

__all__ = [
    "Comparison",
    "EvalReport",
    "Suite",
    "SuiteEvaluator",
    "compare",
    "compare_with_bm25",
    "evaluate",
    "load_suites",
]


__getattr__ = lazy(__name__, {"SuiteEvaluator": "sse.eval.during_training"}, needs="sentence_transformers")
