"""The commands with the model inside the package: named, or left out where a model may be left out."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from sse.errors import SseError
from sse.export import export
from sse.modeling import load_model
from sse.shipped import DEFAULT

LINES = ["bread and butter", "the red planet is mars", "a dog"]


@pytest.fixture
def command(sse_command, monkeypatch, tmp_path):
    """``sse`` in a directory with the file notes.txt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("\n".join(LINES))
    return sse_command


def test_search_with_and_without_a_model(command, shipped):
    found = [command("search", *model, "notes.txt", "red planet mars", "-k", 1) for model in ((), (DEFAULT,))]
    assert found[0] == found[1]
    assert found[0][0] == 0
    assert "2: the red planet is mars" in found[0][1]
    code, out, _ = command("search", shipped, "notes.txt", "red planet mars", "--json")
    assert (code, json.loads(out)[0]["number"]) == (0, 2)


def test_encode_with_and_without_a_model(command, shipped, tmp_path):
    for output, model in (("a.npy", ()), ("b.npy", (DEFAULT,)), ("c.npy", (shipped,))):
        assert command("encode", *model, "notes.txt", output)[0] == 0
    vectors = [np.load(tmp_path / name) for name in ("a.npy", "b.npy", "c.npy")]
    assert vectors[0].shape == (3, 64)
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["search"], "something is missing: sse search [MODEL] FILE QUERY"),
        (["search", "notes.txt"], "something is missing: sse search [MODEL] FILE QUERY"),
        (["search", "models", "notes.txt"], "models: is a directory, not a file of texts"),
        (["encode", "notes.txt"], "something is missing: sse encode [MODEL] INPUT OUTPUT"),
        (["encode", "models", "notes.txt"], "models: is a directory, not a file of texts"),
        (["search", "nothing.txt", "q"], "nothing.txt: No such file"),
    ],
)
def test_what_is_missing_is_said(command, shipped, args, message):
    code, out, error = command(*args)
    assert (code, out) == (2, "")
    assert error.startswith(f"sse: {message}")
    assert error.count("\n") == 1


def test_without_a_model_in_the_package_it_is_one_sentence(command, not_shipped):
    for args in (["search", "notes.txt", "q"], ["export", DEFAULT, "out"], ["card", DEFAULT]):
        code, _, error = command(*args)
        assert (code, error.count("\n")) == (2, 1)
        assert "built without the model" in error


def test_help_shows_what_may_be_left_out(command):
    assert "sse search [OPTIONS] [MODEL] FILE QUERY\n" in command("search", "--help")[1]
    assert "sse encode [OPTIONS] [MODEL] INPUT OUTPUT\n" in command("encode", "--help")[1]


def test_export_by_name_keeps_codes_of_the_same_kind(command, shipped, tmp_path):
    code, out, error = command("export", DEFAULT, "again", "--table", "int8")
    assert code == 0, error
    assert "kept as it was" in out
    before, after = (load_file(place / "model.safetensors") for place in (shipped, tmp_path / "again"))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert value.dtype == after[name].dtype
        np.testing.assert_array_equal(value, after[name])
    assert "nDCG@10" in (tmp_path / "again" / "README.md").read_text()
    assert (tmp_path / "again" / "modeling_sse.py").is_file()


def test_an_int4_table_keeps_its_codes_and_levels(model, tmp_path):
    export(model, tmp_path / "a", table="int4")
    assert export(tmp_path / "a", tmp_path / "b", table="int4").kept
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert not export(tmp_path / "a", tmp_path / "c", table="int8").kept
    assert not export(tmp_path / "a", tmp_path / "d", table="int4", dim=32).kept


@pytest.mark.parametrize("table", ["f32", "f16"])
def test_export_by_name_as_floats_gives_the_same_vectors(shipped, tmp_path, table):
    done = export(DEFAULT, tmp_path / "wide", table=table)
    assert not done.kept
    wanted = load_model(DEFAULT).encode(LINES)
    atol = 0 if table == "f32" else 1e-3
    np.testing.assert_allclose(load_model(done.directory).encode(LINES), wanted, atol=atol)


def test_python_functions_take_the_name(shipped):
    from sse.eval import Suite, evaluate

    suite = Suite("one", {"q": "red planet"}, {"d": LINES[1], "e": LINES[0]}, {"q": {"d": 1.0}})
    report = evaluate(DEFAULT, [suite], bm25=False)
    assert (report.model, report.dims) == (DEFAULT, [64, 32])
    assert report.mean(64) == 1


def test_bench_looks_for_the_name_in_the_package(not_shipped):
    from sse.bench import bench

    with pytest.raises(SseError, match="built without the model"):
        bench(DEFAULT)
