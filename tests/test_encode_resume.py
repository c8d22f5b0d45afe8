"""Runs that are stopped, killed or run out of room go on where they were; memory stays where it is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sse.encode import encode_file
from sse.errors import SseError
from sse.partfile import PartFile
from tests.fake_encoder import WORDS, Fake, left_beside

pytestmark = pytest.mark.usefixtures("small_batches")


@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
@pytest.mark.parametrize("tear", [0, 5, 48 * 20 + 7])
def test_stopped_runs_go_on(tmp_path, words, capsys, name, tear):
    encode_file(Fake(), words, tmp_path / f"whole-{name}")
    output = tmp_path / name
    output.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        encode_file(Fake(fail_after=3), words, output)
    assert output.read_bytes() == b"old"
    part = tmp_path / f".{name}.part"
    assert part.stat().st_size == 128 + 3 * 64 * 48
    with open(part, "ab") as file:
        file.write(b"\xff" * tear)
    encoder = Fake()
    done = encode_file(encoder, words, output)
    assert (done.resumed_rows, encoder.encoded) == (192, 808)
    assert output.read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert f"{output}: going on after 192 rows" in capsys.readouterr().err
    assert left_beside(output) == []


def test_stopped_after_the_last_row(tmp_path, words, monkeypatch):
    encode_file(Fake(), words, tmp_path / "whole.npy")
    with monkeypatch.context() as patch:
        patch.setattr(PartFile, "publish", lambda part: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            encode_file(Fake(), words, tmp_path / "out.npy")
    encoder = Fake()
    assert encode_file(encoder, words, tmp_path / "out.npy").resumed_rows == 1000
    assert encoder.encoded == 0
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize("change", ["input", "model", "dim", "precision", "note", "fewer rows"])
def test_a_part_of_something_else_is_dropped(tmp_path, words, capsys, change):
    with pytest.raises(KeyboardInterrupt):
        encode_file(Fake(fail_after=3), words, tmp_path / "out.npy")
    encoder, options = Fake(), {}
    if change == "input":
        words.write_text("".join(f"{word}!\n" for word in WORDS))
    elif change == "model":
        encoder.fingerprint = "other"
    elif change == "note":
        (tmp_path / ".out.npy.part.json").write_text("{")
    elif change == "fewer rows":
        words.write_text("one\n")
    else:
        options = {"dim": {"dim": 8}, "precision": {"precision": "int8"}}[change]
    done = encode_file(encoder, words, tmp_path / "out.npy", **options)
    assert done.resumed_rows == 0
    assert capsys.readouterr().err.count("starting afresh\n") == 1
    encode_file(encoder, words, tmp_path / "whole.npy", **options)
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


CHILD = """
import sys
import sse.encode
from tests.fake_encoder import Fake
sse.encode.BATCH_TEXTS = 64
sse.encode.encode_file(Fake(pause=float(sys.argv[3])), sys.argv[1], sys.argv[2])
"""


def child(*args: object, **options) -> subprocess.Popen:
    root = Path(__file__).resolve().parents[1]
    return subprocess.Popen([sys.executable, "-c", CHILD, *map(str, args)], cwd=root, **options)


@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
def test_killed_runs_go_on(tmp_path, words, name):
    process = child(words, tmp_path / name, 0.2)
    part = tmp_path / f".{name}.part"
    try:
        deadline = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < 128 + 2 * 64 * 48:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(SseError, match=f"{name}: another run is writing it"):
            encode_file(Fake(), words, tmp_path / name)
    finally:
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
    assert not (tmp_path / name).exists()
    assert encode_file(Fake(), words, tmp_path / name).resumed_rows >= 128
    encode_file(Fake(), words, tmp_path / f"whole-{name}")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert left_beside(tmp_path / name) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_keeps_what_is_there(tmp_path, words, monkeypatch):
    real = PartFile.write

    def write(part, at, vectors):
        if at == 192:
            with open("/dev/full", "wb", buffering=0) as full:
                full.write(b"x")
        real(part, at, vectors)

    with monkeypatch.context() as patch:
        patch.setattr(PartFile, "write", write)
        with pytest.raises(SseError, match=r"out\.npy: No space left on device; 192 rows are kept"):
            encode_file(Fake(), words, tmp_path / "out.npy")
    assert encode_file(Fake(), words, tmp_path / "out.npy").resumed_rows == 192


def test_an_input_that_changes_meanwhile_is_named(tmp_path, words):
    class Meddler(Fake):
        def encode_document(self, texts, **options):
            with open(words, "a") as file:
                file.write("more\n")
            return super().encode_document(texts, **options)

    with pytest.raises(SseError, match=r"words\.txt: changed while it was read"):
        encode_file(Meddler(), words, tmp_path / "out.npy")
    assert left_beside(tmp_path / "out.npy") == []


PEAK = r"""
import re, sys
import numpy as np
from sse.encode import encode_file

class Zeros:
    dim, fingerprint = 256, "zeros"
    def encode_document(self, texts, **options):
        return np.zeros((len(texts), 256), np.float32)

encode_file(Zeros(), sys.argv[1], sys.argv[2])
print(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
def test_memory_does_not_grow_with_the_input(tmp_path, name):
    line = "a line of text that is about as long as a short passage would be, and then a few words more " * 4
    with open(tmp_path / "long.txt", "w") as file:
        for n in range(300_000):  # 115 MB of text, 307 MB of vectors
            file.write(f"{n} {line}\n")
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "long.txt", tmp_path / name],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ, OPENBLAS_NUM_THREADS="1"),
    )
    assert int(done.stdout) < 200_000
