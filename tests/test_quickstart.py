"""The quickstart, smaller; and the pairs that it is made of."""

import json

import pytest

from sse.docstrings import _cut, docstring_pairs
from sse.errors import SseError


def test_pairs_are_there_distinct_and_repeatable():
    pairs = docstring_pairs(500)
    assert len(pairs) == 500
    assert len({pair.anchor for pair in pairs}) == len({pair.positive for pair in pairs}) == 500
    assert pairs == docstring_pairs(500)
    assert all(len(pair.positive) >= 60 for pair in pairs)


@pytest.mark.parametrize(
    "docstring", [None, "", "Short.", "A summary line that stands alone.", "Sum.\n\n" + "rest " * 50]
)
def test_docstrings_without_two_parts_are_left_out(docstring):
    assert _cut(docstring, "f") is None


def test_a_docstring_is_cut_after_its_first_line():
    pair = _cut(
        "Copy a file to another place.\n\n    The source must exist,\n    and the target must not exist before.",
        "m.f",
    )
    assert pair.anchor == "m.f: Copy a file to another place."
    assert pair.positive == "The source must exist, and the target must not exist before."


@pytest.mark.slow
def test_the_whole_quickstart_twice(tmp_path, monkeypatch, stand_in):
    from sse.quickstart import quickstart

    for models, searched in (
        (tmp_path / "none", "with it:"),
        (stand_in, "with sse-en-small, the model in this"),
    ):
        monkeypatch.setattr("sse.shipped.MODELS", models)
        said = []
        exported = quickstart(
            tmp_path / "q", say=said.append, pairs=1500
        )  # the second run replaces the first
        report = "\n".join(said)
        assert searched in report
    assert "sse search README.md" in report
    assert "BM25" in report
    assert report.count("copy a whole directory tree") == 1
    assert (exported / "modeling_sse.py").is_file()
    assert "nDCG@10" in (exported / "README.md").read_text()
    results = json.loads((exported / "results.json").read_text())
    assert set(results["mean"]) == {"256", "128", "64", "32"}
    training = [
        json.loads(line)["positive"]
        for line in (tmp_path / "q" / "data" / "pairs.jsonl").read_text().splitlines()
    ]
    assert results["sets"]["docstrings"]["docs"] + len(training) == 1500


def test_a_directory_of_somebody_else_is_left_alone(tmp_path):
    from sse.quickstart import quickstart

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    with pytest.raises(SseError, match="not from a quickstart"):
        quickstart(tmp_path)
    assert (tmp_path / "data" / "mine.txt").exists()
