"""What was pushed is loaded by its repository id in fresh processes, and gives the local vectors."""

import json
import os
import subprocess
import sys
from threading import Barrier

import huggingface_hub
import numpy as np
import pytest
import torch

from sse import Encoder
from sse.errors import SseError
from sse.export import export, push_to_hub
from sse.modeling import SSE, build_model, load_model
from tests.conftest import ROOT, TEXTS
from tests.eval.helpers import write_beir
from tests.export.test_export import PYTHONS
from tests.hub.faults import HALF, SHORT

BY_LIBRARY = """
import json, os, sys, numpy as np
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], trust_remote_code=sys.argv[4] == "code", revision=sys.argv[2], device="cpu")
np.save(sys.argv[3], model.encode(json.loads(sys.argv[5]), normalize_embeddings=True))
"""
BY_ENCODER = """
import json, sys, numpy as np
from sse import Encoder
encoder = Encoder.from_pretrained(sys.argv[1], revision=sys.argv[2])
np.save(sys.argv[3], encoder.encode(json.loads(sys.argv[5])))
assert "torch" not in sys.modules
"""
AGAIN = """
import sys
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], trust_remote_code=True, device="cpu")
print(model.push_to_hub(sys.argv[2]))
"""


def expected(directory):
    return load_model(directory).encode(TEXTS, normalize_embeddings=True)


def start(hub, tmp_path, code, repo, revision, name, home="home", **environment):
    """Begin to load in a fresh process, with this package."""
    return subprocess.Popen(
        [sys.executable, "-c", code, repo, revision, str(tmp_path / name), "code", json.dumps(TEXTS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**hub.environment(tmp_path / home), "PYTHONPATH": str(ROOT), **environment},
    )


def ended(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return out


@pytest.mark.slow
def test_revisions_in_fresh_processes(client, exported, bert_tokenizer, tmp_path, run_outside):
    """Two pushes, two commits: each keeps its weights, for sentence-transformers and for Encoder."""
    other = export(build_model(SSE(bert_tokenizer, 64)), tmp_path / "other", table="int8").directory
    first, second = push_to_hub(exported, "us/model"), push_to_hub(other, "us/model")
    assert first.commit != second.commit
    texts = json.dumps(TEXTS)
    for revision, directory in ((first.commit, exported), ("main", other)):
        ended(start(client, tmp_path, BY_ENCODER, "us/model", revision, "encoder.npy"))
        wanted = Encoder.from_pretrained(directory).encode(TEXTS)
        np.testing.assert_array_equal(np.load(tmp_path / "encoder.npy"), wanted)
        for number, python in enumerate(PYTHONS):
            done = run_outside(
                *(BY_LIBRARY, "us/model", revision, str(tmp_path / "library.npy"), "code", texts),
                python=python,
                env=client.environment(tmp_path / f"home-{number}"),
            )
            assert done.returncode == 0, done.stderr
            np.testing.assert_array_equal(np.load(tmp_path / "library.npy"), expected(directory))
            np.testing.assert_allclose(np.load(tmp_path / "library.npy"), wanted, atol=1e-5)


def test_a_pull_request_can_be_tried_before_it_is_taken(client, exported, tmp_path):
    client.put("us/model", exported / "..")  # something else
    done = push_to_hub(exported, "us/model", pull_request=True)
    ended(start(client, tmp_path, BY_ENCODER, "us/model", done.revision, "v.npy"))
    np.testing.assert_array_equal(
        np.load(tmp_path / "v.npy"), Encoder.from_pretrained(exported).encode(TEXTS)
    )


@pytest.mark.slow
def test_the_plain_twin_needs_no_flag(client, model, tmp_path, run_outside):
    directory = export(model, tmp_path / "plain", plain=True).directory
    commit = push_to_hub(directory, "us/plain", private=True).commit
    done = run_outside(
        *(BY_LIBRARY, "us/plain", commit, str(tmp_path / "v.npy"), "no code", json.dumps(TEXTS)),
        env=client.environment(tmp_path / "home", HF_TOKEN="ours"),
    )
    assert done.returncode == 0, done.stderr
    wanted = model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), wanted, atol=1e-6)


@pytest.mark.slow
def test_the_library_pushes_the_code_too(hub, exported, tmp_path, run_outside):
    """``model.push_to_hub`` of sentence-transformers, of a model loaded where this package is not installed."""
    environment = hub.environment(tmp_path / "home", HF_TOKEN="ours")
    done = run_outside(AGAIN, str(exported), "us/again", env=environment)
    assert done.returncode == 0, done.stderr
    files = hub.repo("us/again").at("main").files
    assert files["modeling_sse.py"].data == (exported / "modeling_sse.py").read_bytes()
    done = run_outside(
        *(BY_LIBRARY, "us/again", "main", str(tmp_path / "v.npy"), "code", json.dumps(TEXTS)), env=environment
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected(exported))


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(BY_ENCODER, id="Encoder"),
        pytest.param(BY_LIBRARY, id="SentenceTransformer", marks=pytest.mark.slow),
    ],
)
def test_two_processes_share_one_cold_cache(hub, exported, tmp_path, second):
    """They meet at their first question, so that both find the cache empty."""
    commit = hub.put("us/model", exported)
    first_question = (
        "HEAD /us/model/resolve/" if second is BY_ENCODER else "HEAD /us/model/resolve/.*/modules.json"
    )
    hub.fail(first_question, Barrier(2), times=2)
    loaders = [
        start(hub, tmp_path, code, "us/model", "main", f"{number}.npy")
        for number, code in enumerate((BY_ENCODER, second))
    ]
    for loader in loaders:
        ended(loader)
    np.testing.assert_array_equal(
        np.load(tmp_path / "0.npy"), Encoder.from_pretrained(exported).encode(TEXTS)
    )
    np.testing.assert_allclose(np.load(tmp_path / "1.npy"), expected(exported), atol=1e-5)
    cache = tmp_path / "home" / "hub" / "models--us--model"
    assert [path.name for path in (cache / "snapshots").iterdir()] == [commit]
    assert not list(cache.rglob("*.incomplete"))
    weights = (cache / "snapshots" / commit / "model.safetensors").read_bytes()
    assert weights == (exported / "model.safetensors").read_bytes()
    fetched = [path for method, path in hub.requests if method == "GET" and path.startswith("/get/")]
    assert len(fetched) == 1  # the second waited for the first


def test_a_download_that_is_cut_goes_on(hub, exported, tmp_path):
    hub.put("us/model", exported)
    hub.fail("GET /get/", SHORT, times=1)
    if huggingface_hub.__version__ < "1":  # it goes on when it is called again
        error = start(hub, tmp_path, BY_ENCODER, "us/model", "main", "v.npy").communicate(timeout=300)[1]
        assert "us/model: cannot be fetched from the Hub: the server ended the connection" in error
    ended(start(hub, tmp_path, BY_ENCODER, "us/model", "main", "v.npy"))
    np.testing.assert_array_equal(
        np.load(tmp_path / "v.npy"), Encoder.from_pretrained(exported).encode(TEXTS)
    )
    assert len([path for _, path in hub.requests if path.startswith("/get/")]) == 2


@pytest.mark.parametrize(
    ("pattern", "what", "message"),
    [
        ("HEAD /us/model/resolve", 403, "the token gives no right to do this"),
        ("GET /get/", 403, "the token gives no right to do this"),
        ("HEAD /us/model/resolve/.*/model.safetensors", HALF, "the server ended the connection"),
    ],
)
def test_a_load_that_fails_is_one_sentence_and_can_be_repeated(
    hub, exported, tmp_path, pattern, what, message
):
    hub.put("us/model", exported)
    hub.fail(pattern, what)
    file = tmp_path / "texts.txt"
    file.write_text("one\ntwo\n")
    code = "import time; time.sleep = lambda seconds: None\nfrom sse.cli import main; main()"

    def search():
        options = ("--revision", "main", "-k", "1")
        return hub.python(tmp_path / "home", code, "search", "us/model", file, "two", *options)

    done = search()
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        "sse: us/model: cannot be fetched from the Hub: " + message
    )
    hub.faults.clear()
    done = search()
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2: two\n")


@pytest.mark.slow
def test_commands_take_a_revision(hub, exported, bert_tokenizer, tmp_path):
    """Every command that reads a Hub id; the branch ``old`` holds another model than main."""
    other = export(build_model(SSE(bert_tokenizer, 32)), tmp_path / "other").directory
    old = hub.put("us/model", other)
    hub.put("us/model", exported)
    beir = write_beir(
        tmp_path / "beir", {"d1": "a red planet", "d2": "a table"}, {"q1": "red"}, [("q1", "d1", 1)]
    )
    (tmp_path / "texts.txt").write_text("one\n")
    (tmp_path / "sts.tsv").write_text("score\tsentence1\tsentence2\n1\ta cat\ta dog\n2\ta\tb\n3\tc\tc\n")
    commands = [
        ["encode", "us/model", tmp_path / "texts.txt", tmp_path / "vectors.npy"],
        ["search", "us/model", tmp_path / "texts.txt", "one", "--dim", "64"],
        ["sts", "us/model", tmp_path / "sts.tsv"],
        ["export", "us/model", tmp_path / "out"],
        ["eval", "us/model", "--suite", beir, "--no-bm25", "-o", tmp_path / "results", "--dims", "32"],
    ]
    code = (
        "import sys, json\nfrom sse.cli import main\n"
        "for args in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['sse', *args, '--revision', sys.argv[-1]] if args else sys.argv\n"
        "    try: main()\n"
        "    except SystemExit as left: print('left with', left.code or 0)\n"
    )
    done = hub.python(tmp_path / "home", code, json.dumps([list(map(str, one)) for one in commands]), old)
    left = [line for line in done.stdout.splitlines() if line.startswith("left with")]
    assert left == ["left with 0", "left with 2", "left with 0", "left with 0", "left with 0"], done.stderr
    assert np.load(tmp_path / "vectors.npy").shape == (1, 32)
    assert "dim" in done.stderr
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dim"] == 32
    (measured,) = json.loads((tmp_path / "results" / "results.json").read_text())["sets"].values()
    assert set(measured["dims"]) == {"32"}


@pytest.mark.slow
def test_a_revision_can_stand_behind_the_name(hub, exported, bert_tokenizer, tmp_path):
    """Where there is no option for it: models of a soup, names in a recipe. The two commits have one vocabulary."""
    torch.manual_seed(1)
    other = export(build_model(SSE(bert_tokenizer, 64)), tmp_path / "other").directory
    names = [f"us/model@{hub.put('us/model', directory)}" for directory in (other, exported)]
    code = (
        "import sys\nfrom sse import Encoder\nfrom sse.training import load_tokenizer\n"
        "from sse.training.weights.averaging import soup\n"
        "print(soup(sys.argv[1:])[0].embedding.weight[5, :3].tolist())\n"
        "print(*(load_tokenizer(name).get_vocab_size() for name in sys.argv[1:]))\n"
        "print(*(Encoder.from_pretrained(name).encode('red')[0] for name in sys.argv[1:]))\n"
    )
    done = hub.python(tmp_path / "home", code, *names)
    assert done.returncode == 0, done.stderr
    rows, sizes, firsts = done.stdout.splitlines()
    both = [load_model(one)[0].embedding.weight[5, :3] for one in (other, exported)]
    assert json.loads(rows) == pytest.approx(((both[0] + both[1]) / 2).tolist())
    assert sizes == "30522 30522"
    wanted = [Encoder.from_pretrained(one).encode("red")[0] for one in (other, exported)]
    assert [float(one) for one in firsts.split()] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.slow
def test_load_model_is_one_sentence_too(hub, exported, tmp_path):
    hub.put("us/model", exported, private=True)
    code = (
        "import sys\nfrom sse.modeling import load_model\nfrom sse.errors import SseError\n"
        "for name, options in (('us/model', {'token': 'wrong'}), ('us/model', {}), ('us/none', {}),\n"
        "                      ('us/model', {'token': 'ours', 'revision': 'v9'})):\n"
        "    try: load_model(name, **options)\n"
        "    except SseError as error: print(error)\n"
        "print(load_model('us/model', token='ours', revision='main').encode('x').shape)\n"
    )
    done = hub.python(tmp_path / "home", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "us/model: cannot be fetched from the Hub: the token is not valid",
        "us/model: cannot be fetched from the Hub: there is no such repository, or the token may not see it",
        "us/none: cannot be fetched from the Hub: there is no such repository, or the token may not see it",
        "us/model: cannot be fetched from the Hub: there is no such revision",
        "(64,)",
    ]


def test_a_directory_has_no_revision(exported):
    with pytest.raises(SseError, match="is a directory, of which there is no revision v1"):
        load_model(exported, revision="v1")
    assert os.path.isdir(exported)
