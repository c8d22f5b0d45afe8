"""What is imported when, and what is said when an extra is missing."""

import subprocess
import sys

import pytest

from sse.errors import MissingExtraError
from sse.eval import evaluate


def test_importing_needs_numpy_alone():
    code = (
        "import sys, sse.eval\n"
        "heavy = ['torch', 'sentence_transformers', 'bm25s', 'matplotlib', 'Stemmer', 'datasets']\n"
        "found = [name for name in heavy if name in sys.modules]\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_extra_is_named_and_numbers_are_not_lost(model, animals, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match=r"bm25s .*stable-static-embedding\[eval\]"):
        evaluate(model, animals)
    report = evaluate(model, animals, bm25=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        report.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.md", "results.json"]
