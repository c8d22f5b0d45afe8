"""What load_suites reads, and the sentences it refuses with."""

import json

import pytest

from sse.errors import SseError
from sse.eval import Suite, load_suites
from tests.eval.helpers import NANOBEIR, write_beir

CORPUS = {"d1": ("Fox", "a red animal"), "d2": ("", "a whale"), "d3": ("", "")}
QUERIES = {"q1": "fox", "q2": "whale", "q3": "nothing is known of this one"}
QRELS = [("q1", "d1", 2), ("q1", "d2", 0), ("q2", "d2", 1)]


@pytest.fixture
def folder(tmp_path):
    return write_beir(tmp_path / "zoo", CORPUS, QUERIES, QRELS)


def test_a_beir_folder_is_read(folder):
    (suite,) = load_suites(folder)
    assert suite.name == "zoo"
    assert suite.corpus == {"d1": "Fox a red animal", "d2": "a whale", "d3": ""}
    assert suite.qrels == {"q1": {"d1": 2.0}, "q2": {"d2": 1.0}}
    assert suite.judged() == ["q1", "q2"]


def test_the_only_other_tsv_stands_in_for_test(tmp_path):
    folder = write_beir(tmp_path / "zoo", CORPUS, QUERIES, QRELS, qrels_name="dev.tsv")
    assert load_suites([folder])[0].qrels == {"q1": {"d1": 2.0}, "q2": {"d2": 1.0}}
    (folder / "qrels" / "train.tsv").write_text("q1\td1\t1\n")
    with pytest.raises(SseError, match=r"test\.tsv: there is no such file.*dev\.tsv, train\.tsv"):
        load_suites([folder])


def test_a_folder_of_folders_is_read_in_order_of_names(tmp_path):
    for name in ("b", "a"):
        write_beir(tmp_path / name, CORPUS, QUERIES, QRELS)
    (tmp_path / "notes").mkdir()
    assert [suite.name for suite in load_suites([str(tmp_path)])] == ["a", "b"]


def test_nanobeir_is_read_from_a_mirror(nanobeir, nanobeir_mirror):
    assert [suite.name for suite in nanobeir] == [f"Nano{name}" for name in NANOBEIR]
    assert len(nanobeir[0].corpus) == 119, "the empty document is dropped, as by sentence-transformers"
    assert "missing" in nanobeir[0].qrels["q0"]
    assert load_suites(nanobeir_mirror) == nanobeir


def test_an_incomplete_mirror_is_refused(nanobeir_mirror, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(nanobeir_mirror, copy)
    (copy / "queries" / "NanoNQ-00000-of-00001.parquet").unlink()
    with pytest.raises(SseError, match=r"copy: NanoBEIR cannot be read: "):
        load_suites([copy])


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        ("corpus.jsonl", 2, "{not json", r"corpus\.jsonl, line 2: not valid JSON"),
        ("corpus.jsonl", 2, "[1]", r"corpus\.jsonl, line 2: not a JSON object"),
        ("corpus.jsonl", 1, '{"text": "x"}', r"corpus\.jsonl, line 1: there is no _id"),
        ("corpus.jsonl", 3, '{"_id": "d3"}', r"corpus\.jsonl, line 3: there is no text"),
        ("corpus.jsonl", 3, '{"_id": "d3", "text": null}', r"corpus\.jsonl, line 3: text is not a string"),
        (
            "corpus.jsonl",
            3,
            '{"_id": "d3", "text": "\\ud800"}',
            r"corpus\.jsonl, line 3: text holds a lone surrogate",
        ),
        (
            "corpus.jsonl",
            3,
            '{"_id": "d1", "text": "x"}',
            r"corpus\.jsonl, line 3: the _id 'd1' occurs twice",
        ),
        (
            "queries.jsonl",
            2,
            '{"_id": "q1", "text": "x"}',
            r"queries\.jsonl, line 2: the _id 'q1' occurs twice",
        ),
        ("queries.jsonl", 1, "[" * 100_000, r"queries\.jsonl, line 1: not valid JSON"),
        ("qrels/test.tsv", 2, "q1\td1", r"test\.tsv, line 2: 2 tab-separated fields"),
        ("qrels/test.tsv", 2, "q1\td1\tgood", r"test\.tsv, line 2: the score 'good' is not a number"),
        ("qrels/test.tsv", 2, "q1\td1\tnan", r"test\.tsv, line 2: the score 'nan' is not a finite number"),
        ("qrels/test.tsv", 2, "q9\td1\t1", r"test\.tsv, line 2: the query 'q9' is not in queries\.jsonl"),
        ("qrels/test.tsv", 2, "q1\td9\t1", r"test\.tsv, line 2: the document 'd9' is not in corpus\.jsonl"),
        ("qrels/test.tsv", 3, "q1\td1\t1", r"test\.tsv, line 3: 'q1' and 'd1' were judged before"),
    ],
)
def test_a_broken_line_is_named(folder, file, line, text, message):
    lines = (folder / file).read_text().splitlines()
    lines[line - 1] = text
    (folder / file).write_text("\n".join(lines))
    with pytest.raises(SseError, match=message):
        load_suites([folder])


def test_bytes_that_are_not_utf8_are_named(folder):
    with (folder / "queries.jsonl").open("ab") as stream:
        stream.write(b'{"_id": "q4", "text": "\xff"}\n')
    with pytest.raises(SseError, match=r"queries\.jsonl, line 4: not UTF-8"):
        load_suites([folder])


def test_a_missing_file_is_named(folder):
    (folder / "queries.jsonl").unlink()
    with pytest.raises(SseError, match=r"queries\.jsonl: cannot be read: No such file"):
        load_suites([folder])


def test_a_set_without_relevant_documents_is_refused(folder):
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t0\n")
    with pytest.raises(SseError, match=r"test\.tsv: no query has a relevant document"):
        load_suites([folder])
    with pytest.raises(SseError, match="empty: there is no document"):
        Suite("empty", {"q": "x"}, {}, {"q": {"d": 1}})


def test_what_is_no_suite_is_refused(tmp_path, animals):
    with pytest.raises(SseError, match="nowhere: there is no such folder"):
        load_suites(["nowhere"])
    with pytest.raises(SseError, match="neither a BEIR folder"):
        load_suites([tmp_path])
    with pytest.raises(SseError, match="animals: two sets have this name"):
        load_suites([animals, animals])
    with pytest.raises(SseError, match="no set to measure on"):
        load_suites([])


def test_a_file_without_header_and_numbers_as_ids_are_read(tmp_path):
    folder = write_beir(tmp_path / "numbers", {1: "one"}, {7: "seven"}, [])
    (folder / "qrels" / "test.tsv").write_text("7\t1\t1\n")
    assert json.loads((folder / "corpus.jsonl").read_text())["_id"] == 1
    assert load_suites([folder])[0].qrels == {"7": {"1": 1.0}}
