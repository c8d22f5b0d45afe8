"""Files of vectors: every format, and runs that are stopped anywhere and go on."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import sse.edge
import sse.encode
from sse.cli import main
from sse.encode import encode_file
from sse.errors import SseError
from tests.fake_encoder import WORDS, Fake, left_beside

pytestmark = pytest.mark.usefixtures("small_batches")


def vectors_in(output: Path) -> np.ndarray:
    if output.suffix == ".npy":
        return np.load(output)
    column = pq.read_table(output)["embedding"].combine_chunks()
    return column.values.to_numpy().reshape(len(column), -1)


@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
@pytest.mark.parametrize(
    ("precision", "full", "dtype", "columns"),
    [("f32", "float32", "float32", 10), ("int8", "int8", "int8", 10), ("binary", "binary", "int8", 2)],
)
def test_shapes_and_values(tmp_path, words, name, precision, full, dtype, columns):
    done = encode_file(Fake(), words, tmp_path / name, dim=10, precision=precision)
    assert (done.rows, done.dim, done.columns, done.resumed_rows) == (1000, 10, columns, 0)
    vectors = vectors_in(tmp_path / name)
    assert vectors.dtype == dtype
    assert np.array_equal(vectors, Fake().encode_document(WORDS, truncate_dim=10, precision=full))
    assert left_beside(tmp_path / name) == []


def test_the_npy_file_is_the_one_numpy_writes(tmp_path, words):
    encode_file(Fake(), words, tmp_path / "out.npy")
    np.save(tmp_path / "numpy.npy", Fake().encode_document(WORDS))
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    assert np.load(tmp_path / "out.npy", mmap_mode="r").shape == (1000, 12)


def test_the_parquet_file_has_one_column_of_fixed_size(tmp_path, words, monkeypatch):
    monkeypatch.setattr(sse.encode, "ROW_GROUP_BYTES", 300 * 12 * 4)
    encode_file(Fake(), words, tmp_path / "out.parquet")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert file.schema_arrow.names == ["embedding"]
    assert str(file.schema_arrow.field(0).type).startswith("fixed_size_list<element: float not null>[12]")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [300, 300, 300, 100]


def test_records_fields_and_queries(tmp_path):
    records = [{"text": "a", "body": "x"}, {"text": "b", "body": "y"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    encode_file(Fake(), tmp_path / "in.jsonl", tmp_path / "out.npy", field="body", kind="query")
    assert np.array_equal(np.load(tmp_path / "out.npy"), Fake().encode_query(["x", "y"]))


@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
def test_no_texts(tmp_path, name):
    (tmp_path / "in.txt").write_text("")
    assert encode_file(Fake(), tmp_path / "in.txt", tmp_path / name).rows == 0
    if name == "out.npy":
        assert np.load(tmp_path / name).shape == (0, 12)
    else:
        assert pq.read_table(tmp_path / name).num_rows == 0


def test_a_long_text_is_a_batch_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(sse.encode, "BATCH_CHARACTERS", 100)
    sizes = [len(batch) for batch in sse.encode._batches(["x" * 60, "x" * 40, "x" * 500, "x", "x"])]
    assert sizes == [2, 1, 2]


@pytest.mark.parametrize(
    ("source", "output", "options", "message"),
    [
        ("words.txt", "out.txt", {}, r"out\.txt: vectors are written as \.npy or \.parquet"),
        ("no.txt", "out.npy", {}, r"no\.txt: No such file or directory"),
        ("words.txt", "folder.npy", {}, r"folder\.npy: is a directory"),
        ("words.txt", "out.npy", {"dim": 13}, "the model has 12 dimensions, not 13"),
        ("in.parquet", "in.parquet", {}, r"in\.parquet: is the input"),
        ("in.jsonl", "out.npy", {"field": "body"}, r"in\.jsonl: record 1 has no text field 'body'"),
        ("folder.npy", "out.npy", {}, r"folder\.npy: Is a directory"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(tmp_path, words, source, output, options, message):
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "in.parquet").write_bytes(b"")
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(SseError, match=message):
        encode_file(Fake(), tmp_path / source, tmp_path / output, **options)
    assert left_beside(tmp_path / output) == []


def test_progress_is_shown_where_it_is_asked_for(tmp_path, words, capsys):
    encode_file(Fake(), words, tmp_path / "out.npy")
    assert capsys.readouterr() == ("", "")
    encode_file(Fake(), words, tmp_path / "out.npy", show_progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "100%" in shown.err


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run ``sse encode model ...`` with the fake encoder; gives its exit code."""
    asked = {}

    class Loader:
        @staticmethod
        def from_pretrained(model, **options):
            asked.update(model=model, **options)
            return command.encoder

    def command(*args: object) -> int:
        monkeypatch.setattr(sys, "argv", ["sse", "encode", "model", *map(str, args)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code or 0

    monkeypatch.setattr(sse.edge, "Encoder", Loader, raising=False)
    command.encoder, command.asked = Fake(), asked
    return command


def test_the_command(tmp_path, words, command, capsys):
    output = tmp_path / "out.npy"
    options = ["--precision", "int8", "--dim", 12, "--threads", 2, "--backend", "numpy", "--revision", "v1"]
    assert command(words, output, "--json", *options) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("seconds") > 0
    assert printed == {
        "output": str(output),
        "rows": 1000,
        "dim": 12,
        "columns": 12,
        "precision": "int8",
        "resumed_rows": 0,
    }
    asked = {"model": "model", "dim": 12, "revision": "v1", "backend": "numpy", "threads": 2}
    assert command.asked == asked
    assert command(words, output, "--kind", "query") == 0
    assert capsys.readouterr().out.startswith(f"{output}: 1,000 vectors of 12 dims, f32, ")
    assert np.array_equal(np.load(output), Fake().encode_query(WORDS))


def test_the_command_stops_with_130_and_goes_on(tmp_path, words, command, capsys):
    command.encoder = Fake(fail_after=3)
    assert command(words, tmp_path / "out.npy") == 130
    error = capsys.readouterr().err
    assert error == f"sse: {tmp_path / 'out.npy'}: stopped; the same command goes on from here\n"
    command.encoder = Fake()
    assert command(words, tmp_path / "out.npy", "--json") == 0
    assert json.loads(capsys.readouterr().out)["resumed_rows"] == 192


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("words.txt", "out.bin", "out.bin: vectors are written as .npy or .parquet"),
        ("no.txt", "out.npy", "no.txt: No such file or directory"),
        ("bad.txt", "out.npy", "bad.txt: not UTF-8: line 1 holds the byte 0xff"),
        ("words.txt", "words.txt/out.npy", "words.txt: File exists"),
    ],
)
def test_mistakes_of_the_command(tmp_path, words, command, capsys, source, output, message):
    (tmp_path / "bad.txt").write_bytes(b"\xff\n")
    assert command(tmp_path / source, tmp_path / output) == 2
    assert capsys.readouterr().err == f"sse: {tmp_path}/{message}\n"
