"""``sse bench`` end to end on a small model, the peers, and every mistake in one sentence."""

import json
import os
import random
import sys
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from sse.bench import bench, run
from sse.bench.memory import HUGGING_FACE
from sse.bench.methods import Model, own_methods
from sse.bench.peers import choose_peers, write_peers
from sse.bench.settings import one_thread
from sse.cli import app
from sse.errors import MissingExtraError, SseError
from sse.export import export
from sse.modeling import SSE, build_model
from tests.conftest import TEXTS

pytest.importorskip("psutil")


@pytest.fixture(scope="module")
def tiny(bert_tokenizer, tmp_path_factory):
    """An exported float32 model that is wide enough for a row with fewer columns."""
    directory = tmp_path_factory.mktemp("bench") / "tiny"
    export(build_model(SSE(bert_tokenizer, 288)), directory)
    return directory


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    draw = random.Random(0)
    words = [word for text in TEXTS[:2] for word in text.split() if word.isalpha()]
    file = tmp_path_factory.mktemp("text") / "words.txt"
    file.write_text(" ".join(draw.choice(words) for _ in range(5000)), encoding="utf-8")
    return file


def test_rows_of_a_model(tiny):
    methods, left_out = own_methods(Model.open(tiny))
    names = [method.name for method in methods]
    assert "f32 numpy" in names
    if "native" not in left_out:
        assert names == ["f32 native", "f32 native 256 columns", "f32 numpy", "f32 native, bytes"]
    shapes = {method.name: method.load(1).many(["one text", "another"]) for method in methods}
    for name, vectors in shapes.items():
        if name.endswith("bytes"):
            assert len(vectors) == 2 * 288 * 4
        else:
            assert vectors.shape == (2, 256 if name.endswith("columns") else 288)


@pytest.fixture
def quicker(monkeypatch):
    """As few repetitions as there can be: starting processes is what takes long here."""
    monkeypatch.setattr(run, "QUICK", replace(run.QUICK, rounds=2, cold_starts=1))


@pytest.mark.slow
def test_quick_run_with_another_table_and_a_peer(tiny, text, tmp_path, quicker):
    pytest.importorskip("model2vec")
    arguments = [
        *("bench", str(tiny), "--table", "f32", "--table", "int8", "--peers", "model2vec"),
        *("--text", str(text), "--quick", "-o", str(tmp_path / "out"), "--json"),
    ]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert "cold start" in done.stderr
    assert json.loads((tmp_path / "out" / "bench.json").read_text()) == report
    assert (tmp_path / "out" / "bench.png").is_file()
    own = [f"{table} {row}" for table in ("f32", "int8") for row in _rows(report)]
    throughput = [row for row in own if not row.endswith("bytes")]
    for texts in ("queries", "passages"):
        rows = [row["method"] for row in report["throughput"] if row["texts"] == texts]
        assert rows == [*throughput, "model2vec"]
    assert [row["method"] for row in report["latency"]] == [*own, "model2vec"]
    assert [row["method"] for row in report["cold_start"]] == [*own, "model2vec"]
    long = [row for row in own if not row.endswith("columns")]
    assert [row["method"] for row in report["peak_memory"]] == [*long, HUGGING_FACE]
    for row in (*report["throughput"], *report["latency"], *report["cold_start"]):
        times = row.get("times_peer", row.get("times_peer_p50"))
        assert list(times) == ([] if row["method"] == "model2vec" else ["model2vec"])
    assert report["file_mb"]["f32"] > 3 * report["file_mb"]["int8"]
    assert report["command"] == (
        "sse bench tiny --table f32 --table int8 --peers model2vec --text words.txt --quick"
    )
    everything = done.stdout + (tmp_path / "out" / "bench.md").read_text()
    for place in (str(tiny.parent), str(text.parent), str(tmp_path), "sse-bench-"):
        assert place not in everything


def _rows(report):
    if "native" in report["left_out"]:
        return ["numpy", "numpy 256 columns"]
    return ["native", "native 256 columns", "numpy", "native, bytes"]


@pytest.mark.slow
def test_without_peers_the_model_is_measured_alone(tiny, text, quicker):
    report = bench(tiny, peers=[], text=text, quick=True)
    assert report.peers == []
    assert {row.method.split()[0] for row in report.throughput} == {"f32"}
    assert all(row.times_peer == {} for row in report.cold_start)
    assert "model2vec" not in report.markdown().split("## ", 1)[1]


@pytest.mark.parametrize("peer", ["model2vec", "sentence-transformers"])
def test_peers_have_the_vocabulary_and_the_width_of_the_model(tiny, tmp_path, peer):
    pytest.importorskip(peer.replace("-", "_"))
    (method,) = write_peers([peer], Model.open(tiny), tmp_path)
    with one_thread():
        loaded = method.load(1)
        assert loaded.many(["one text", "another"]).shape == (2, 288)
        assert loaded.one("one text").shape == (288,)
    assert method.is_peer


def test_peers_by_name(monkeypatch):
    assert choose_peers([]) == []
    with pytest.raises(
        SseError, match="fasttext: no such peer; there are model2vec and sentence-transformers"
    ):
        choose_peers(["fasttext"])
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(MissingExtraError, match=r"model2vec is needed.*stable-static-embedding\[bench\]"):
        choose_peers(["model2vec"])


def test_the_environment_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("RAYON_NUM_THREADS", "7")
    monkeypatch.setenv("SSE_BACKEND", "numpy")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with one_thread():
        assert os.environ["RAYON_NUM_THREADS"] == os.environ["OMP_NUM_THREADS"] == "1"
        assert "SSE_BACKEND" not in os.environ
    assert (os.environ["RAYON_NUM_THREADS"], os.environ["SSE_BACKEND"]) == ("7", "numpy")
    assert "OMP_NUM_THREADS" not in os.environ


def test_mistakes_are_one_sentence(tiny, text, tmp_path):
    with pytest.raises(SseError, match="nothing: there is no such directory"):
        bench(tmp_path / "nothing", quick=True)
    few = tmp_path / "few.txt"
    few.write_text("three words only")
    with pytest.raises(SseError, match="512 different queries"):
        bench(tiny, text=few, peers=[], quick=True)
    export(str(tiny), tmp_path / "small", table="int8")
    with pytest.raises(SseError, match="its table is stored as int8, so int4 cannot be made of it"):
        bench(tmp_path / "small", tables=["int4"], text=text, peers=[], quick=True)
