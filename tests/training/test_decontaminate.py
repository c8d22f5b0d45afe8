"""Evaluation texts in training data are found, however they are written, and nothing else is."""

import json

import datasets
import pytest
from datasets import Dataset

from sse.errors import SseError
from sse.eval import load_suites
from sse.training.data import same_text
from sse.training.data.decontaminate import decontaminate, find_contaminated, normalise
from sse.training.data.sources import LoadedSource
from sse.training.recipe_parts import Source
from tests.eval.helpers import write_beir
from tests.test_cli import sse as run

CORPUS = {
    "d1": ("Red Planet", "Mars is red; it's dusty."),
    "d2": "The sea is deep.",
    "d3": "",
    "d4": ("", "Ünï—code 漢字"),
}
QUERIES = {
    "q1": "Why is Mars red?",
    "q2": "who sailed first around the world",
    "q3": "??",
}
QRELS = [("q1", "d1", 1), ("q2", "d2", 1)]
CLEAN = {"anchor": "a clean question", "positive": "a clean answer"}


@pytest.fixture
def suite(tmp_path):
    return write_beir(tmp_path / "sets" / "small", CORPUS, QUERIES, QRELS)


def source(rows, name="it"):
    return LoadedSource(Source(name=name, path=name), Dataset.from_list(rows), 0)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({}, False),
        ({"anchor": "why is  MARS, red"}, True),  # a query
        ({"positive": "Why is Mars red?!"}, True),
        ({"negative": "Why is Mars red?"}, False),  # the negative of another question
        ({"anchor": "Red planet: Mars is red; it's dusty"}, True),  # a document with its title
        ({"positive": "red planet mars is red, it's dusty"}, True),
        ({"negative": "Red Planet Mars is red; it's dusty."}, True),
        ({"positive": "MARS is red. It's dusty!"}, True),  # without
        ({"positive": "Red Planet"}, False),  # the title alone
        ({"positive": "The sea is deep. And cold."}, False),
        ({"positive": "ｕ̈ｎｉ̈ code 漢字".replace("ｎｉ̈", "nï").replace("ｕ̈", "Ü")}, True),  # noqa: RUF001
        ({"positive": "!!"}, False),  # no letter, as document d3 and query q3
        ({"anchor": "so who sailed first around the world, then?"}, True),  # holds a query of five words
        ({"anchor": "tell me why is mars red"}, False),  # of four
        ({"anchor": "Sailed first around the world"}, True),  # five words of a query
        ({"anchor": "first around the world"}, False),  # four
        ({"anchor": "sailed first around the worlds"}, False),  # words are whole
        ({"anchor": "who sailed first around a world"}, False),
        ({"positive": "so who sailed first around the world, then?"}, False),  # only anchors
    ],
)
def test_which_rows_are_found(suite, row, found):
    (numbers,) = find_contaminated([source([{"negative": "a clean one", **CLEAN, **row}])], [suite])
    assert numbers.tolist() == ([0] if found else [])


def test_rows_are_taken_out_and_counted(suite, monkeypatch):
    monkeypatch.setattr("sse.training.data.decontaminate.BATCH", 7)
    rows = [{**CLEAN, "label": n, "anchor": f"question {n}"} for n in range(40)]
    for n in (0, 6, 7, 20, 39):
        rows[n]["positive"] = "the SEA is deep"
    loaded = [source(rows, "one"), source([CLEAN], "two")]
    kept, counts = decontaminate(loaded, [suite])
    assert counts == {"one": 5, "two": 0}
    assert list(kept[0].rows) == [row for row in rows if row["positive"] == CLEAN["positive"]]
    assert kept[1].rows._fingerprint == loaded[1].rows._fingerprint
    again, counts = decontaminate(kept, [suite])
    assert counts == {"one": 0, "two": 0}
    assert again[0].rows._fingerprint == kept[0].rows._fingerprint


def test_every_kind_of_suite(suite):
    loaded = [
        source([CLEAN, {**CLEAN, "anchor": "Why is Mars red?"}, {**CLEAN, "positive": "the sea is deep"}])
    ]
    other = write_beir(suite.parent / "other", {"d": "a clean answer"}, {"q": "q"}, [("q", "d", 1)])
    for suites, numbers in (
        ([suite], [1, 2]),
        ([str(suite.parent)], [0, 1, 2]),
        ([other], [0, 1, 2]),
        (load_suites(suite), [1, 2]),
        ([suite, other], [0, 1, 2]),
    ):
        expected = [0, 1] if suites == [other] else numbers
        assert find_contaminated(loaded, suites)[0].tolist() == expected
    with pytest.raises(SseError, match="no such folder"):
        find_contaminated(loaded, [suite.parent / "nothing"])


def test_a_source_of_which_nothing_is_left_is_named(suite):
    with pytest.raises(SseError, match="source 'it': every row is in an evaluation set"):
        decontaminate([source([{**CLEAN, "positive": "the sea is deep"}])], [suite])


def test_what_is_compared():
    assert normalise(" Don't  STOP_me…²ﬁ\n") == "don t stop me 2fi"
    assert normalise("Straße") == normalise("STRASSE") == "strasse"


def test_digests():
    texts = [f"text {n % 50}" for n in range(100)] + ["\ud800"]
    values = same_text.digests(texts)
    assert len(set(values.tolist())) == 51
    assert (values[:50] == values[50:100]).all()
    known = values[:50].copy()
    known.sort()
    assert (known[same_text.places(values[:100], known)] == values[:100]).all()
    assert same_text.places(values[100:], known).tolist() == [-1]
    assert same_text.places(values[:2], known[:0]).tolist() == [-1, -1]


def test_the_command(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [CLEAN, {**CLEAN, "positive": "the sea is deep"}, {**CLEAN, "anchor": "why is mars red"}]
    for name, some in (("mixed", rows), ("clean", rows[:1])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
        (tmp_path / f"{name}.toml").write_text(
            f'name = "{name}"\nsources = [{{ name = "it", path = "{name}.jsonl" }}]'
        )
    done = run("decontaminate", tmp_path / "mixed.toml", "--suite", suite)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["it: 2 of 3 rows", "2 rows are in an evaluation set"],
    )
    done = run("decontaminate", tmp_path / "mixed.toml", "--suite", suite, "--check", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "sources": {"it": {"rows": 3, "found": 2}},
        "rows": 3,
        "found": 2,
    }
    assert run("decontaminate", tmp_path / "clean.toml", "--suite", suite, "--check").returncode == 0
    limited = run(
        "decontaminate", tmp_path / "mixed.toml", "--suite", suite, "--set", "sources.it.limit=1", "--json"
    )
    assert json.loads(limited.stdout)["rows"] == 1
    done = run("decontaminate", tmp_path / "mixed.toml", "--suite", tmp_path / "nothing")
    assert done.returncode == 2
    assert "nothing: there is no such folder" in done.stderr
