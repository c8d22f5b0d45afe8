"""Texts that hurt: every code point, and long runs of one thing. The same ids as the reference, in linear time."""

import random
import resource
import sys
import time

import numpy as np
import pytest
from tokenizers import Tokenizer

from sse import Encoder
from tests.edge.conftest import models  # noqa: F401

CODES = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
MILLION = 10**6


@pytest.fixture(scope="module")
def reference(models):  # noqa: F811
    tokenizer = Tokenizer.from_file(str(models["f32"] / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def ids(texts: list[str]) -> list[list[int]]:
        return [item.ids for item in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    return ids


def batch_ids(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    """Ids by the path that encode takes: the vectorised one in the numpy tier."""
    if encoder.backend == "numpy":
        flat, offsets = encoder._tier.batch.batch(texts)
        return [part.tolist() for part in np.split(flat, offsets[1:-1])]
    return encoder.tokenize(texts)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_every_code_point(models, reference, backend):  # noqa: F811
    encoder = Encoder.from_pretrained(models["f32"], backend=backend)
    for start in range(0, len(CODES), 40_000):
        chars = map(chr, CODES[start : start + 40_000])
        texts = [f"ab{c}Cd {c} x{c}" for c in chars]
        assert batch_ids(encoder, texts) == reference(texts)


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_random_mixes(models, reference, backend):  # noqa: F811
    encoder = Encoder.from_pretrained(models["f32"], backend=backend)
    rng = random.Random(3)
    letters = "abcXYZ019 .,[]-_'\u00e9\u00df\u0130\u4e2d\u0301\u200b\u00a0\u1e9e\U0001f600\uac00\n\t\x00\x7f#\x85\u2028"
    texts = ["".join(rng.choice(letters) for _ in range(rng.randint(0, 120))) for _ in range(4000)]
    texts += ["".join(chr(rng.choice(CODES[:0xD000])) for _ in range(60)) for _ in range(1000)]
    texts += [
        "a[MASK]b [CLS] [SEP][PAD] [[UNK]] [mask] [MAS",
        " [UNK",
        "[CL\x00S]",
        "\u0301[SEP]\u0301",
        "",
        "\x00",
    ]
    texts += ["x" * n for n in (15, 16, 17, 99, 100, 101)] + [
        "\u00e9" * 100,
        "\u00e9" * 101,
        "##ing ##",
        "a1" * 8 + ".",
    ]
    assert batch_ids(encoder, texts) == reference(texts)


@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize(
    "text",
    [
        "a" * MILLION,
        "\U0001f600" * 200_000,
        "\u4e2d" * 200_000,
        "\u00e9" * MILLION,
        "\ud55c" * 200_000,
        "a" + "\u0301\u0323" * (MILLION // 2),
        " " * MILLION,
        "[" * MILLION,
        "!" * MILLION,
        "\x00" * MILLION,
        "[MASK]" * 100_000,
        "a\u200b" * 300_000,
    ],
    ids=lambda text: ascii(text[:3]),
)
def test_a_million_of_one_thing(models, reference, backend, text):  # noqa: F811
    encoder = Encoder.from_pretrained(models["f32"], backend=backend)
    assert encoder.tokenize([text]) == reference([text])
    assert encoder.encode([text]).shape == (1, encoder.dim)


def test_time_grows_with_the_length_and_no_faster(models):  # noqa: F811
    encoder = Encoder.from_pretrained(models["f32"], backend="native")
    rng = random.Random(0)
    nonsense = " ".join("".join(rng.choice("abcdefghij") for _ in range(99)) for _ in range(1000))

    def seconds(text: str) -> float:
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            encoder.encode([text])
            best = min(best, time.process_time() - start)
        return best

    for text in (nonsense, "a" * 100_000, "e\u0301\u0323" * 30_000, "\u4e2d" * 100_000):
        assert seconds(text * 8) < 40 * max(seconds(text), 1e-3)  # 8 if linear, 64 if quadratic


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit there")
def test_memory_does_not_grow_with_the_text(models):  # noqa: F811
    encoder = Encoder.from_pretrained(models["int8_column"], backend="native")
    text = "the quick brown fox jumps over the lazy dog, " * 225_000
    assert len(text) > 10_000_000
    encoder.encode(text[:100_000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder.encode(text)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000
