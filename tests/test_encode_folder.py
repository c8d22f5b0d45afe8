"""A folder of Parquet files becomes a folder of vectors, also when the run is stopped on the way."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sse.edge
from sse.cli import main
from sse.edge import Encoder
from sse.encode import encode_file
from sse.encode_folder import FileWork, encode_folder
from sse.errors import SseError
from tests.fake_encoder import WORDS, Fake, left_beside

pytestmark = pytest.mark.usefixtures("small_batches")

NAMES = ["a.parquet", "b.parquet", "year=2024/a.parquet", "year=2025/c.parquet"]


def write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(range(len(texts))), "text": texts}), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files of 250 texts, in two depths, and things that are not for us."""
    for number, name in enumerate(NAMES):
        write(tmp_path / "texts" / name, WORDS[number * 250 : (number + 1) * 250])
    write(tmp_path / "texts" / "_temporary" / "x.parquet", ["no"])
    write(tmp_path / "texts" / ".hidden.parquet", ["no"])
    (tmp_path / "texts" / "_SUCCESS").touch()
    (tmp_path / "texts" / "notes.txt").write_text("no")
    return tmp_path / "texts"


def vectors_in(output: Path) -> np.ndarray:
    columns = [pq.read_table(output / name)["embedding"].combine_chunks() for name in NAMES]
    return np.concatenate([column.values.to_numpy().reshape(len(column), -1) for column in columns])


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("precision", "columns"), [("f32", 8), ("int8", 8), ("binary", 1)])
def test_every_file_is_what_one_file_gives(folder, tmp_path, precision, columns):
    done = encode_folder(Fake(), folder, tmp_path / "out", dim=8, precision=precision)
    assert (done.files, done.rows, done.dim, done.columns, done.resumed_rows) == (4, 1000, 8, columns, 0)
    assert files_in(tmp_path / "out") == NAMES
    for name in NAMES:
        encode_file(Fake(), folder / name, tmp_path / "one.parquet", dim=8, precision=precision)
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "one.parquet").read_bytes()
    assert left_beside(tmp_path / "out") == []


def test_a_stopped_run_goes_on_within_a_file(folder, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        encode_folder(Fake(fail_after=6), folder, tmp_path / "out")  # four batches a file
    assert not (tmp_path / "out").exists()
    encoder = Fake()
    done = encode_folder(encoder, folder, tmp_path / "out")
    assert (done.rows, done.resumed_rows, encoder.encoded) == (1000, 250 + 128, 1000 - 250 - 128)
    assert np.array_equal(vectors_in(tmp_path / "out"), Fake().encode_document(WORDS))
    assert capsys.readouterr().err == f"{tmp_path / 'out'}: going on after 1 files\n"
    assert left_beside(tmp_path / "out") == []


def test_files_that_changed_meanwhile_are_encoded_again(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        encode_folder(Fake(fail_after=8), folder, tmp_path / "out")
    changed = [word.upper() for word in WORDS[:250]]
    write(folder / NAMES[0], changed)
    os.utime(folder / NAMES[0], ns=(1, 1))
    assert encode_folder(Fake(), folder, tmp_path / "out").resumed_rows == 250
    assert np.array_equal(vectors_in(tmp_path / "out"), Fake().encode_document(changed + WORDS[250:]))


@pytest.mark.parametrize("options", [{"dim": 8}, {"precision": "int8"}, {"kind": "query"}])
def test_files_of_other_options_are_dropped(folder, tmp_path, capsys, options):
    with pytest.raises(KeyboardInterrupt):
        encode_folder(Fake(fail_after=8), folder, tmp_path / "out")
    assert encode_folder(Fake(), folder, tmp_path / "out", **options).resumed_rows == 0
    assert "made with another model or options; starting afresh" in capsys.readouterr().err


def test_a_file_that_is_gone_leaves_no_vectors(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        encode_folder(Fake(fail_after=8), folder, tmp_path / "out")
    (folder / NAMES[0]).unlink()
    assert encode_folder(Fake(), folder, tmp_path / "out").rows == 750
    assert files_in(tmp_path / "out") == NAMES[1:]


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("nothing", "out", "nothing: is not a folder of Parquet files"),
        ("empty", "out", "empty: no Parquet file is in it"),
        ("texts", "texts", "texts: lies in the input"),
        ("texts", "texts/out", "texts/out: lies in the input"),
        ("texts", "full", "full: exists; name a folder that does not"),
        ("texts", "full/file", "full/file: exists; name a folder that does not"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(folder, tmp_path, source, output, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    before = files_in(tmp_path)
    with pytest.raises(SseError, match=f"{tmp_path}/{message}"):
        encode_folder(Fake(), tmp_path / source, tmp_path / output)
    assert files_in(tmp_path) == before


def test_a_broken_file_is_named_and_the_others_are_kept(folder, tmp_path):
    whole = (folder / NAMES[2]).read_bytes()
    (folder / NAMES[2]).write_bytes(b"PAR1")
    with pytest.raises(SseError, match=r"year=2024/a\.parquet: not a Parquet file"):
        encode_folder(Fake(), folder, tmp_path / "out")
    (folder / NAMES[2]).write_bytes(whole)
    assert encode_folder(Fake(), folder, tmp_path / "out").resumed_rows == 500


def test_two_runs_do_not_meet(folder, tmp_path):
    class Second(Fake):
        def encode_document(self, texts, **options):
            with pytest.raises(SseError, match="out: another run is writing it"):
                encode_folder(Fake(), folder, tmp_path / "out")
            return super().encode_document(texts, **options)

    assert encode_folder(Second(), folder, tmp_path / "out").rows == 1000


def test_the_work_can_be_done_elsewhere(folder, tmp_path, monkeypatch, shipped):
    """As by a worker on a cluster: in another process, from another directory, in a place of its own."""
    (tmp_path / "attempts").mkdir()
    monkeypatch.chdir(shipped.parent)
    encoder = Encoder.from_pretrained(shipped.name)
    options = {"dim": 16, "show_progress": False}
    pickled = pickle.dumps(FileWork(encoder, folder, tmp_path / "out", options, tmp_path / "attempts"))
    monkeypatch.chdir(tmp_path)
    work = pickle.loads(pickled)
    assert [work(name) for name in NAMES] == [(250, 0)] * 4
    expected = Encoder.from_pretrained(shipped).encode_document(WORDS, truncate_dim=16)
    assert np.array_equal(vectors_in(tmp_path / "out"), expected)
    assert files_in(tmp_path / "attempts") == []


def test_the_command(folder, tmp_path, monkeypatch, capsys):
    class Loader:
        @staticmethod
        def from_pretrained(model, **options):
            return Fake()

    def command(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sse", "encode", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return (left.value.code or 0, *capsys.readouterr())

    monkeypatch.setattr(sse.edge, "Encoder", Loader, raising=False)
    code, out, _ = command("model", folder, tmp_path / "out")
    assert code == 0
    assert out.startswith(f"{tmp_path / 'out'}: 1,000 vectors of 12 dims, f32, ")
    assert np.array_equal(vectors_in(tmp_path / "out"), Fake().encode_document(WORDS))
    code, _, error = command("model", folder, tmp_path / "out")
    assert (code, error) == (2, f"sse: {tmp_path / 'out'}: exists; name a folder that does not\n")
    code, _, error = command("model", folder / NAMES[0], tmp_path / "out.npy", "--engine", "ray")
    assert (code, error) == (2, f"sse: {folder / NAMES[0]}: is not a folder of Parquet files\n")
