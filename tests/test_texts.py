"""Reading texts out of files: every format, one text a record, and every mistake named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sse.errors import SseError
from sse.texts import Position, iter_texts, read_texts

RECORDS = [{"id": 1, "title": "Mars", "text": "red planet"}, {"id": 2, "title": "", "text": "blue planet"}]


def test_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\n\ntwo\r\nthree\rf\x0co\xe2\x80\xa8ur")
    assert read_texts(tmp_path / "a.txt") == ["one", "", "two", "three", "f\x0co\u2028ur"]
    (tmp_path / "a.txt").write_text("one\n\n")
    assert read_texts(tmp_path / "a.txt") == ["one", ""]
    (tmp_path / "a.txt").write_text("")
    assert read_texts(tmp_path / "a.txt") == []


def test_records_of_every_kind(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    (tmp_path / "a.csv").write_text("id,title,text\n1,Mars,red planet\n2,,blue planet\n")
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        assert read_texts(tmp_path / name) == ["Mars red planet", "blue planet"]
        assert read_texts(tmp_path / name, field="title") == ["Mars", ""]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_byte_order_mark(tmp_path, name):
    content = {"a.txt": "x\n", "a.jsonl": '{"text": "x"}\n', "a.csv": "text\nx\n"}[name]
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    assert read_texts(tmp_path / name) == ["x"]


def test_first_text_field_where_there_is_no_text(tmp_path):
    records = [{"n": 1, "body": "x"}]
    (tmp_path / "a.jsonl").write_text(json.dumps(records[0]) + "\n")
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    assert read_texts(tmp_path / "a.jsonl") == read_texts(tmp_path / "a.parquet") == ["x"]


def test_a_null_text_is_the_same_in_every_format(tmp_path):
    records = [{"title": "t", "text": None}, {"title": "t", "text": "x"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    assert read_texts(tmp_path / "a.jsonl") == read_texts(tmp_path / "a.parquet") == ["t", "t x"]


def test_blank_json_lines_are_blank_texts(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n\n{}\n')
    assert read_texts(tmp_path / "a.jsonl") == ["x", "", ""]


def test_a_csv_field_may_be_long_and_hold_newlines(tmp_path):
    long = "word\n" * 100_000
    (tmp_path / "a.csv").write_text(f'text\n"{long}"\n')
    assert read_texts(tmp_path / "a.csv") == [long]


def test_parquet_kinds_of_text_and_many_batches(tmp_path):
    words = [f"word {n}" for n in range(1000)]
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        columns = {"id": pa.array(range(1000)), "text": pa.array(words).cast(kind)}
        pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=300)
        assert read_texts(tmp_path / "a.parquet") == words
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    assert read_texts(tmp_path / "a.parquet", "text") == []


def test_position_ends_at_the_total(tmp_path):
    (tmp_path / "a.txt").write_text("word\n" * 1000)
    position = Position()
    texts = iter_texts(tmp_path / "a.txt", position=position)
    next(texts)
    assert position == Position(0, 5000)
    assert len(list(texts)) == 999
    assert position == Position(5000, 5000)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{oops\n', r"a\.jsonl: line 2 is not JSON"),
        ("a.jsonl", b'{"text": "x"}\n3\n', "line 2 is not a JSON object"),
        ("a.jsonl", b'{"n": 3}\n', "record 1 has no field that holds text"),
        ("a.jsonl", b"[" * 100_000, "line 1 cannot be read as JSON"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\\ud83d"}\n', "record 2 holds half of a surrogate pair"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', "not UTF-8: line 2 holds the byte 0xff"),
        ("a.txt", b"\xff\xfe", r"a\.txt: not UTF-8: line 1 holds the byte 0xff"),
        ("a.txt", b"a\nb\r\xe4\n", r"a\.txt: not UTF-8: line 3 holds the byte 0xe4"),
        ("a.txt", b"a\n\xed\xa0\x80\n", "line 2 holds the byte 0xed"),
        ("a.csv", b'text\n"never closed\n', r"a\.csv: not a CSV file: line 2"),
        ("a.csv", b"text\nx\n\xff\n", r"a\.csv: not UTF-8: line 3"),
        ("a.parquet", b"no", r"a\.parquet: not a Parquet file"),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SseError, match=message):
        read_texts(tmp_path / name)


def test_parquet_with_bytes_that_are_not_text(tmp_path):
    column = pa.array([b"x"] * 300 + [b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    with pytest.raises(SseError, match=r"a\.parquet: not UTF-8: record 301"):
        read_texts(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_field_that_is_not_there(tmp_path, name):
    records = [{"title": "Mars", "text": "red planet"}]
    (tmp_path / "a.jsonl").write_text(json.dumps(records[0]) + "\n")
    (tmp_path / "a.csv").write_text("title,text\nMars,red planet\n")
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    with pytest.raises(SseError) as caught:
        read_texts(tmp_path / name, field="body")
    where = f"{tmp_path / name}: record 1"
    assert str(caught.value) == f"{where} has no text field 'body' (fields: title, text)"


@pytest.mark.parametrize("name", ["no.txt", "no.jsonl", "no.csv", "no.parquet"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(SseError, match=rf"{name}: No such file or directory$"):
        read_texts(tmp_path / name)
