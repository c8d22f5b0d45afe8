"""Reading texts out of files, and ranking them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sse.errors import SseError
from sse.search import read_texts, search

RECORDS = [{"id": 1, "title": "Mars", "text": "red planet"}, {"id": 2, "title": "", "text": "blue planet"}]


def test_lines(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert read_texts(tmp_path / "a.txt") == ["one", "", "two"]


def test_records_of_every_kind(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    (tmp_path / "a.csv").write_text("id,title,text\n1,Mars,red planet\n2,,blue planet\n")
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        assert read_texts(tmp_path / name) == ["Mars red planet", "blue planet"]
        assert read_texts(tmp_path / name, field="title") == ["Mars", ""]


def test_first_text_field_where_there_is_no_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"n": 1, "body": "x"}\n')
    assert read_texts(tmp_path / "a.jsonl") == ["x"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{oops\n', r"a\.jsonl: line 2 is not JSON"),
        ("a.jsonl", b'{"text": "x"}\n3\n', "line 2 is not a JSON object"),
        ("a.jsonl", b'{"n": 3}\n', "record 1 has no field that holds text"),
        ("a.txt", b"\xff\xfe", r"a\.txt: not UTF-8"),
        ("a.parquet", b"no", r"a\.parquet: not a Parquet file"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SseError, match=message):
        read_texts(tmp_path / name)


def test_ranking(model):
    texts = ["the red planet", "", "bread and butter", "the red planet is mars"]
    hits = search(model, texts, "the red planet", k=2)
    assert [hit.number for hit in hits] == [1, 4]
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert search(model, ["", " "], "x") == []
    assert len(search(model, texts, "x", k=10)) == 3


def test_fewer_dims(model):
    assert search(model, ["a b", "c d"], "a b", dim=8)[0].number == 1
    with pytest.raises(SseError, match="64 dimensions, not 65"):
        search(model, ["a"], "a", dim=65)
