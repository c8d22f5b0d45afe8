"""Where files come from: revision, token, subfolder, cache folder; and the published checkpoints themselves."""

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from sse.errors import SseError
from sse.modeling import SSE, build_model, load_model, write_model
from tests.conftest import TEXTS

OLD, NEW = "a" * 40, "b" * 40


def cached_repository(cache, name, commits):
    """The layout in which huggingface_hub keeps a downloaded repository: one snapshot a commit."""
    root = cache / f"models--{name.replace('/', '--')}"
    for commit, model in commits.items():
        write_model(model, root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(list(commits)[-1])


@pytest.fixture
def two_commits(bert_tokenizer, tmp_path):
    models = {commit: build_model(SSE(bert_tokenizer, 8)) for commit in (OLD, NEW)}
    cached_repository(tmp_path / "cache", "somebody/model", models)
    return models, {"cache_folder": str(tmp_path / "cache"), "local_files_only": True}


@pytest.mark.parametrize(("revision", "commit"), [(OLD, OLD), (NEW, NEW), (None, NEW), ("main", NEW)])
def test_revision_decides_weights(two_commits, revision, commit):
    models, where = two_commits
    expected = models[commit].encode(TEXTS)
    np.testing.assert_array_equal(
        build_model(SSE.load("somebody/model", revision=revision, **where)).encode(TEXTS), expected
    )
    np.testing.assert_array_equal(
        load_model("somebody/model", revision=revision, **where).encode(TEXTS), expected
    )


@pytest.mark.slow
def test_revision_decides_code_weights_and_tokenizer(two_commits, tmp_path, run_outside):
    models, where = two_commits
    old = tmp_path / "cache" / "models--somebody--model" / "snapshots" / OLD
    code = (old / "modeling_sse.py").read_text()
    (old / "modeling_sse.py").write_text(code + "\nSSE.which = 'old code'\n")
    script = """
import os, sys, numpy as np
from importlib.metadata import version
if version("sentence-transformers") < "6":  # it looks for the code in the default cache only
    os.environ["HF_HUB_CACHE"] = sys.argv[2]
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("somebody/model", trust_remote_code=True, revision=sys.argv[1], cache_folder=sys.argv[2],
                            local_files_only=True, device="cpu")
np.save(sys.argv[3], model.encode(["one two three", "four"]))
print(getattr(model[0], "which", "new code"))
"""
    for commit, name in ((OLD, "old code"), (NEW, "new code")):
        done = run_outside(script, commit, where["cache_folder"], str(tmp_path / "v.npy"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == name
        np.testing.assert_array_equal(
            np.load(tmp_path / "v.npy"), models[commit].encode(["one two three", "four"])
        )


def test_every_file_request_carries_every_argument(sse, tmp_path):
    sse.save(str(tmp_path))
    asked = []

    class Recording(SSE):
        @classmethod
        def load_file_path(cls, model_name_or_path, filename, **where):
            asked.append((filename, where))
            return super().load_file_path(str(tmp_path), filename)

    where = {"subfolder": "s", "token": "t", "cache_folder": "c", "revision": "r", "local_files_only": True}
    Recording.load("somebody/model", **where)
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {name for name, _ in asked}
    assert all(given == where for _, given in asked)


def test_subfolder(sse, tmp_path):
    (tmp_path / "0_SSE").mkdir()
    sse.save(str(tmp_path / "0_SSE"))
    again = SSE.load(str(tmp_path), subfolder="0_SSE")
    np.testing.assert_array_equal(build_model(again).encode(TEXTS), build_model(sse).encode(TEXTS))


def test_load_model_never_runs_the_code_in_the_directory(model, tmp_path):
    write_model(model, tmp_path)
    (tmp_path / "modeling_sse.py").write_text("raise SystemExit('the code in the directory was run')")
    np.testing.assert_array_equal(load_model(tmp_path).encode(TEXTS), model.encode(TEXTS))


def test_load_model_keeps_prompts(sse, tmp_path):
    model = build_model(sse, query_prompt="query: ")
    write_model(model, tmp_path)
    np.testing.assert_array_equal(load_model(tmp_path).encode_query("x"), model.encode("query: x"))


def test_load_model_reads_other_models_too(minilm_path):
    assert load_model(minilm_path).encode("hello").shape == (384,)


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "a/b/c"])
def test_load_model_names_what_is_missing(name):
    with pytest.raises(SseError, match=name):
        load_model(name)


# The golden similarities of sentence-transformers' own pretrained-model test, tolerance .01.
QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]
PUBLISHED = [
    (
        "RikkaBotan/stable-static-embedding-fast-retrieval-mrl-en",
        "176cf7f95971893536afabb72ed1a9dc491e23df",
        [0.21659, 0.67834, 0.54613, 0.64053],
    ),
    (
        "RikkaBotan/quantized-stable-static-embedding-fast-retrieval-mrl-en",
        "48de1fc899574177a7c2d0d4ae90bb902190935c",
        [0.20859, 0.67225, 0.55774, 0.63499],
    ),
]


@pytest.mark.hub
@pytest.mark.parametrize(("repository", "revision", "expected"), PUBLISHED)
def test_published_checkpoints_with_our_class(repository, revision, expected):
    model = build_model(SSE.load(repository, revision=revision))
    got = model.similarity(model.encode_query([QUERY]), model.encode_document(DOCUMENTS))[0]
    np.testing.assert_allclose(got, expected, atol=0.01)


@pytest.mark.hub
@pytest.mark.parametrize(("repository", "revision", "expected"), PUBLISHED[:1])
def test_our_export_with_the_published_code(repository, revision, expected, tmp_path):
    """Our weights and tokenizer in a directory with the author's code give the author's similarities."""
    import shutil

    from huggingface_hub import snapshot_download

    published = snapshot_download(repository, revision=revision)
    target = shutil.copytree(published, tmp_path / "mixed")
    SSE.load(repository, revision=revision).save(str(target))
    model = SentenceTransformer(str(target), trust_remote_code=True, device="cpu")
    got = model.similarity(model.encode_query([QUERY]), model.encode_document(DOCUMENTS))[0]
    np.testing.assert_allclose(got, expected, atol=0.01)
