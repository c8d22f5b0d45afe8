import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from sse import Encoder
from sse.errors import MissingExtraError, SseError
from tests.conftest import ROOT
from tests.edge.conftest import DIM

BACKENDS = ("native", "numpy", "tokenizers")


@pytest.fixture(params=BACKENDS)
def encoder(request, models):
    return Encoder.from_pretrained(models["f32"], backend=request.param)


def test_shapes(encoder):
    assert encoder.encode("a text").shape == (DIM,)
    assert encoder.encode([]).shape == (0, DIM)
    assert encoder.encode(("a", "b")).shape == (2, DIM)
    assert encoder.encode(np.array(["a", "b"])).shape == (2, DIM)
    assert encoder.encode(["a"], truncate_dim=7).shape == (1, 7)
    assert encoder.encode("a", truncate_dim=7).shape == (7,)
    assert encoder.encode(["a"]).dtype == np.float32
    assert (encoder.dim, encoder.table, encoder.get_embedding_dimension()) == (DIM, "f32", DIM)


@pytest.mark.parametrize("dim", [0, -1, DIM + 1, 2.0, True, "8"])
def test_a_dim_out_of_range_is_named(encoder, dim, models):
    with pytest.raises(ValueError, match=rf"dim must be from 1 to {DIM}, not "):
        encoder.encode(["a"], truncate_dim=dim)
    with pytest.raises(ValueError, match="dim must be from 1"):
        Encoder.from_pretrained(models["f32"], dim=dim)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (None, "text 2 must be a string, not NoneType"),
        (3, "text 2 must be a string, not int"),
        (b"bytes", "text 2 must be a string, not bytes"),
        ("a\ud800b", "text 2 holds a lone surrogate at character 1"),
    ],
)
def test_a_text_that_is_none_is_named_by_its_row(encoder, bad, sentence):
    for call in (
        encoder.encode,
        encoder.encode_raw,
        encoder.tokenize,
        lambda t: list(encoder.encode_stream(t)),
    ):
        with pytest.raises(ValueError, match=sentence):
            call(["a", "b", bad, "c"])


def test_the_row_of_a_stream_counts_from_its_start(encoder):
    with pytest.raises(ValueError, match="text 7 must be a string"):
        list(encoder.encode_stream(iter(["a"] * 7 + [None]), batch_size=3))


def test_a_lone_surrogate_in_a_single_text(encoder):
    with pytest.raises(ValueError, match="text 0 holds a lone surrogate"):
        encoder.encode("\udfff")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"precision": "int3"}, "precision must be one of"),
        ({"convert_to_tensor": True}, "numpy array"),
        ({"output_value": "token_embeddings"}, "sentence embeddings"),
        ({"device": "cuda"}, "runs on the CPU"),
        ({"prompt_name": "nobody"}, "no prompt 'nobody'"),
        ({"max_length": 0}, "max_length must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_options_that_cannot_be_met_are_refused(encoder, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        encoder.encode(["a"], **options)
    with pytest.raises(ValueError, match=sentence):
        encoder.encode("a", **options)


@pytest.mark.parametrize("texts", [b"bytes", 3, {"a": 1}, None])
def test_what_is_no_sequence_of_texts(encoder, texts):
    with pytest.raises(ValueError, match="texts must be"):
        encoder.encode(texts)


def test_nothing_is_cut_unless_asked(encoder):
    long = "alpha beta " * 1000
    assert len(encoder.tokenize(long)[0]) == 2000
    assert encoder.tokenize(long, max_length=600) == [encoder.tokenize(long)[0][:600]]
    np.testing.assert_array_equal(encoder.encode(long, max_length=2), encoder.encode("alpha beta"))
    encoder.max_seq_length = 2
    np.testing.assert_array_equal(encoder.encode(long), encoder.encode("alpha beta"))
    np.testing.assert_array_equal(encoder.encode([long])[0], encoder.encode("alpha beta"))


def test_prompts(encoder):
    np.testing.assert_array_equal(encoder.encode_query("a"), encoder.encode("query: a"))
    np.testing.assert_array_equal(encoder.encode_query(["a"], prompt="x "), encoder.encode(["x a"]))
    np.testing.assert_array_equal(encoder.encode_document(["a"]), encoder.encode(["a"]))
    np.testing.assert_array_equal(encoder.encode(["a"], "query"), encoder.encode(["query: a"]))


def test_precisions(encoder):
    texts = ["one text", "another one", ""]
    exact = encoder.encode(texts)
    small = encoder.encode(texts, precision="int8")
    assert small.dtype == np.int8
    assert (np.abs(small).max(1) == 127).all()
    back = small / np.linalg.norm(small.astype(float), axis=1, keepdims=True)
    assert (back * exact).sum(1).min() > 0.999
    bits = encoder.encode(texts, precision="ubinary")
    np.testing.assert_array_equal(np.unpackbits(bits, axis=1), exact > 0)
    np.testing.assert_array_equal(encoder.encode(texts, precision="binary"), bits.astype(int) - 128)


def test_similarity_is_cosine(encoder):
    a, b = encoder.encode(["red", "blue"]), encoder.encode(["red"], normalize_embeddings=False)
    found = encoder.similarity(a, b)
    assert found.shape == (2, 1)
    assert found[0, 0] == pytest.approx(1, abs=1e-6)
    assert found[1, 0] < 0.99


def test_encode_stream(encoder):
    texts = [f"text number {n}" for n in range(1000)]
    for options in ({}, {"batch_size": 64}):
        parts = list(encoder.encode_stream(iter(texts), **options))
        np.testing.assert_array_equal(np.concatenate(parts), encoder.encode(texts))
    assert list(encoder.encode_stream([])) == []


def test_encode_raw_is_the_same_bytes(encoder):
    assert bytes(encoder.encode_raw(["a", "b"])) == encoder.encode(["a", "b"]).tobytes()
    with pytest.raises(ValueError, match="not one string"):
        encoder.encode_raw("ab")


def test_a_progress_bar_changes_nothing(encoder, capfd):
    texts = ["a", "b", "c", None]
    np.testing.assert_array_equal(
        encoder.encode(texts[:3], show_progress_bar=True, batch_size=2), encoder.encode(texts[:3])
    )
    assert "encode" in capfd.readouterr().err
    with pytest.raises(ValueError, match="text 3 must be"):
        encoder.encode(texts, show_progress_bar=True, batch_size=2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_32_threads_share_one_encoder(models, backend):
    encoder = Encoder.from_pretrained(models["int8_column"], backend=backend, threads=2)
    texts = [f"text {n} " + "word " * (n % 40) + "é" * (n % 3) for n in range(320)]
    dims = (DIM, 64, 7)
    limits = (None, 3, 17)
    expected = {
        (dim, limit): np.stack([encoder.encode(t, truncate_dim=dim, max_length=limit) for t in texts])
        for dim in dims
        for limit in limits
    }
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(12):
            dim, limit = dims[(number + turn) % 3], limits[(number // 3 + turn) % 3]
            start = (37 * number + 11 * turn) % 300
            some = texts[start:] if turn % 2 else texts[start : start + 3]
            rows = encoder.encode(some, truncate_dim=dim, max_length=limit)
            if not np.allclose(rows, expected[dim, limit][start : start + len(some)], atol=1e-6):
                wrong.append(f"thread {number} turn {turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _child(encoder, texts, queue):
    queue.put(encoder.encode(texts).tobytes())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(models, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    encoder = Encoder.from_pretrained(models["int8_column"], threads=2)
    texts = ["some text to encode " * 50] * 500  # enough for threads
    expected = encoder.encode(texts).tobytes()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_child, args=(encoder, texts, queue))
    child.start()
    assert queue.get(timeout=60) == expected
    child.join()


def test_pickle(encoder):
    again = pickle.loads(pickle.dumps(encoder))
    assert (again.backend, again.dim) == (encoder.backend, encoder.dim)
    np.testing.assert_array_equal(again.encode(["a"]), encoder.encode(["a"]))
    small = Encoder.from_pretrained(encoder._files.directory, dim=5)
    assert pickle.loads(pickle.dumps(small)).dim == 5


def test_backend_is_chosen_by_the_environment(models, monkeypatch):
    monkeypatch.setenv("SSE_BACKEND", "numpy")
    assert Encoder.from_pretrained(models["f32"]).backend == "numpy"
    assert Encoder.from_pretrained(models["f32"], backend="tokenizers").backend == "tokenizers"
    monkeypatch.setenv("SSE_BACKEND", "abacus")
    with pytest.raises(SseError, match="backend must be one of"):
        Encoder.from_pretrained(models["f32"])


def test_without_the_compiled_core_numpy_serves(models, monkeypatch):
    monkeypatch.setattr("sse.edge.tiers.native_module", lambda: None)
    assert Encoder.from_pretrained(models["f32"]).backend == "numpy"
    with pytest.raises(SseError, match="native core is not installed"):
        Encoder.from_pretrained(models["f32"], backend="native")


def test_a_missing_library_is_named_with_its_extra(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"stable-static-embedding\[tokenizers\]"):
        Encoder.from_pretrained(models["f32"], backend="tokenizers")
    assert Encoder.from_pretrained(models["f32"]).encode("a").shape == (DIM,)


@pytest.mark.parametrize(
    ("backend", "absent"),
    [
        ("native", "numpy torch transformers sentence_transformers tokenizers huggingface_hub safetensors"),
        ("numpy", "torch transformers sentence_transformers tokenizers huggingface_hub"),
    ],
)
def test_what_is_never_imported(models, backend, absent):
    code = (
        "import sys\nfrom sse import Encoder\n"
        f"e = Encoder.from_pretrained({str(models['int8_row'])!r}, backend={backend!r})\n"
        "assert len(e.encode_raw(['a text'])) == 4 * e.dim\n"
        f"print([m for m in {absent!r}.split() if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_an_unknown_function_of_similarity(models):
    encoder = Encoder.from_pretrained(models["f32"])
    encoder._files = encoder._files._replace(similarity="psychic")
    with pytest.raises(ValueError, match="psychic"):
        encoder.similarity([1.0], [1.0])
