"""The command line: every command on a small model, and every mistake in one sentence with exit code 2."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from sse.cli import main
from tests.training.conftest import RECIPE, write_pairs


def sse(*args: object) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which has torch imported already."""
    out, err, code, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["sse", *map(str, args)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as error:
        code = error.code
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(args, code or 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with data, a recipe, two trained models and a BEIR folder."""
    place = tmp_path_factory.mktemp("cli")
    write_pairs(place / "pairs.jsonl")
    (place / "small.toml").write_text(RECIPE)
    folder = place / "sets" / "numbers"
    (folder / "qrels").mkdir(parents=True)
    pairs = [json.loads(line) for line in (place / "pairs.jsonl").read_text().splitlines()]
    for name, key in (("corpus", "positive"), ("queries", "anchor")):
        rows = [{"_id": f"{n}", "title": "", "text": pair[key]} for n, pair in enumerate(pairs)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    qrels = ["query-id\tcorpus-id\tscore", *(f"{n}\t{n}\t1" for n in range(40))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(qrels))
    done = sse("train", place / "small.toml", "-o", place / "model", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 12
    return place


pytestmark = pytest.mark.slow


def test_eval_writes_its_files_and_export_uses_them(place, tmp_path):
    done = sse("eval", place / "model", "--suite", place / "sets", "-o", place / "model" / "eval")
    assert done.returncode == 0, done.stderr
    assert "numbers" in done.stdout
    assert "BM25" in done.stdout
    written = {path.name for path in (place / "model" / "eval").iterdir()}
    assert written == {"results.json", "report.md", "sets.png", "matryoshka.png"}
    results = json.loads((place / "model" / "eval" / "results.json").read_text())
    assert list(results["sets"]["numbers"]["dims"]) == ["16", "8"]
    assert results["model"] == "model"
    assert str(place) not in json.dumps(results)

    done = sse("export", place / "model", tmp_path / "exported", "--table", "int8", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cosine"] > 0.999
    assert "nDCG@10" in (tmp_path / "exported" / "README.md").read_text()


def test_export_with_onnx(place, tmp_path):
    done = sse("export", place / "model", tmp_path / "m", "--onnx-normalize", "--json")
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)["onnx"]
    assert sizes == {name: (tmp_path / "m" / name).stat().st_size for name in sizes}
    assert list(sizes) == ["onnx/model.onnx", "onnx/model_quantized.onnx"]
    done = sse("export", place / "model", tmp_path / "n", "--onnx", "--plain")
    assert done.returncode == 2
    assert "plain twin has no ONNX files" in done.stderr


def test_eval_json_and_dims(place):
    done = sse(
        "eval", place / "model", "--suite", place / "sets" / "numbers", "--dims", "8", "--no-bm25", "--json"
    )
    assert list(json.loads(done.stdout)["sets"]["numbers"]["dims"]) == ["8"]


def test_compare(place, tmp_path):
    for dims, name in (("16", "a"), ("8", "b")):
        done = sse("eval", place / "model", "--suite", place / "sets", "--dims", dims, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
    done = sse("compare", tmp_path / "a", tmp_path / "b" / "results.json", "--json")
    assert done.returncode == 0, done.stderr
    assert "numbers" in json.dumps(json.loads(done.stdout))
    assert "numbers" in sse("compare", tmp_path / "a", tmp_path / "b").stdout


def test_search(place):
    done = sse(
        "search",
        place / "model",
        place / "pairs.jsonl",
        "which copper is 5",
        "-k",
        2,
        "--field",
        "positive",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    hits = json.loads(done.stdout)
    assert len(hits) == 2
    assert "copper" in hits[0]["text"]
    assert hits[0]["score"] >= hits[1]["score"]


def test_resume_of_a_finished_training_changes_nothing(place):
    before = (place / "model" / "model.safetensors").read_bytes()
    done = sse("train", place / "small.toml", "-o", place / "model", "--resume")
    assert done.returncode == 0, done.stderr
    assert (place / "model" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "sse"], [str(Path(sys.executable).with_name("sse"))]]
)
def test_both_ways_to_call_it(command):
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0.1.0", done.stderr
    done = subprocess.run(
        [*command, "search", "./no", "no.txt", "q"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("sse: no.txt: No such file or directory\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "nothing", "-o", "{tmp}"], "nothing: no such recipe file"),
        (["train", "{place}/small.toml", "-o", "{tmp}", "--set", "train.sede=1"], "unknown key 'train.sede'"),
        (["train", "{place}/small.toml", "-o", "{place}/model"], "already holds a training"),
        (["train", "{place}/small.toml", "-o", "{place}/pairs.jsonl"], "is a file, not a directory"),
        (["eval", "./nothing", "--suite", "{place}/sets"], "./nothing: there is no such directory"),
        (["eval", "{place}/model", "--suite", "{place}/nothing"], "nothing"),
        (["eval", "{place}/model", "--suite", "{place}/sets", "--dims", "wide"], "--dims wide"),
        (["eval", "{place}/model", "--suite", "{place}/sets", "--dims", "17"], "17"),
        (["compare", "{place}/model", "{place}/model"], "results.json"),
        (["export", "{place}/model", "{place}/sets"], "is not an exported model"),
        (["export", "{place}/model", "{tmp}/x", "--plain", "--table", "int4"], "plain twin"),
        (["export", "{place}/sets", "{tmp}/x"], "sets: cannot be loaded as a model"),
        (["search", "{place}/model", "{place}/nothing.txt", "q"], "nothing.txt: No such file"),
        (["search", "{place}/model", "{place}/pairs.jsonl", " "], "the query is blank"),
        (
            ["search", "{place}/model", "{place}/pairs.jsonl", "q", "--field", "body"],
            "record 1 has no text field 'body'",
        ),
        (
            ["search", "{place}/model", "{place}/pairs.jsonl", "q", "--dim", "99"],
            "dim must be from 1 to 16, not 99",
        ),
        (["quickstart", "--output", "{place}"], "is not from a quickstart"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(place, tmp_path, args, message):
    done = sse(*(arg.format(place=place, tmp=tmp_path / "out") for arg in args))
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("sse: ")
    assert message in last
