"""All implementations of the forward pass agree: torch, the plain twin, the three tiers, and golden.json."""

import json
import random
from itertools import pairwise

import numpy as np
import pytest
import torch

from sse import Encoder
from sse.edge.tiers import NativeTier, native_module
from sse.edge.tokenizer_file import WordPiece, read_tokenizer
from sse.modeling import SSE, load_model, to_plain_twin
from tests.conftest import TEXTS
from tests.edge.conftest import DIM, KINDS, POOLED, models  # noqa: F401

BACKENDS = ("native", "numpy", "tokenizers")
LETTERS = "abcXYZ019 .,[]-_'\u00e9\u00df\u0130\u4e2d\u0301\u200b\u00a0\u1e9e\U0001f600\uac00\n\t\x00\x7f#"

LONG = [
    "one two three " * 700,
    " ".join(map(str, range(2030))),  # 853 different tokens
    " ".join(str(n) for n in range(300) for _ in range(1 + n % 3)),
    " ".join(str(n) for n in range(2030) for _ in range(100 if n == 7 else 1 + n % 5)),
]


def texts() -> list[str]:
    rng = random.Random(0)
    mixed = ["".join(rng.choice(LETTERS) for _ in range(rng.randint(0, 120))) for _ in range(300)]
    return [*TEXTS, *mixed, *LONG]


def exact(module: SSE, ids: list[int], dim: int) -> np.ndarray:
    different, counts = np.unique(ids, return_counts=True)
    weights = counts**module.count_exponent
    with torch.no_grad():
        rows = module.embedding.weight.double()[different]
        mean = torch.tensor(weights / weights.sum()) @ rows
        vector = module.dyt.double()(mean)[:dim]
        module.dyt.float()
    return (vector / vector.norm()).numpy()


@pytest.mark.parametrize("kind", [*KINDS, *POOLED])
def test_every_implementation_gives_the_same_ids_and_vectors(kind, models):  # noqa: F811
    model = load_model(models[kind])
    several = texts()
    features = model[0].preprocess(several)
    bounds = [*features["offsets"].tolist(), len(features["input_ids"])]
    ids = [features["input_ids"][a:b].tolist() for a, b in pairwise(bounds)]
    raw = model.encode(several, normalize_embeddings=False)
    unit = model.encode(several, normalize_embeddings=True)
    cut = model.encode(several, normalize_embeddings=True, truncate_dim=50)
    if kind in KINDS:
        twin = to_plain_twin(model).encode(several, normalize_embeddings=True)
        np.testing.assert_allclose(twin, unit, atol=1e-6)
    # torch sums the rows of a long text one after the other in float32 and is itself 2e-6 off; ours go on in double
    short = [number for number, row in enumerate(ids) if len(row) <= 256]
    for number in set(range(len(ids))) - set(short):
        unit[number], cut[number] = exact(model[0], ids[number], DIM), exact(model[0], ids[number], 50)
    assert len(ids) - len(short) == 1 + len(LONG)
    np.testing.assert_allclose(unit[5], exact(model[0], ids[5], DIM), atol=1e-6)
    for backend in BACKENDS:
        encoder = Encoder.from_pretrained(models[kind], backend=backend)
        assert encoder.backend == backend
        assert encoder.tokenize(several) == ids
        np.testing.assert_allclose(encoder.encode(several), unit, atol=1e-6)
        np.testing.assert_allclose(encoder.encode(several, truncate_dim=50), cut, atol=1e-6)
        # before normalisation the values are larger, by the length of a vector
        plain = encoder.encode(several, normalize_embeddings=False)
        np.testing.assert_allclose(plain[short], raw[short], atol=1e-6 * np.linalg.norm(raw, axis=1).max())
        one_by_one = np.stack([encoder.encode(text) for text in several])
        np.testing.assert_allclose(one_by_one, unit, atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in (*KINDS, *POOLED) if kind != "q4"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_golden_vectors(kind, backend, models):  # noqa: F811
    if kind.startswith("int8"):
        pytest.skip("these tables were made after the export; the test above has them")
    golden = json.loads((models[kind] / "golden.json").read_text(encoding="utf-8"))
    encoder = Encoder.from_pretrained(models[kind], backend=backend)
    for item in golden["items"]:
        assert encoder.tokenize([item["text"]]) == [item["ids"]]
        vector = encoder.encode(item["text"], normalize_embeddings=False)
        np.testing.assert_allclose(vector, item["vector"], atol=golden["tolerance"])


@pytest.mark.parametrize("kind", [*KINDS, *POOLED])
def test_instruction_sets_give_the_same_bits(kind, models):  # noqa: F811
    if native_module() is None:
        pytest.skip("the native core is not installed")
    files = Encoder.from_pretrained(models[kind])._files
    spec = read_tokenizer(files.tokenizer, files.table.rows)
    assert isinstance(spec, WordPiece)
    several, found = texts(), {}
    for isa in ("baseline", "avx2", "avx512"):
        try:
            tier = NativeTier(files, spec, isa)
        except Exception as error:
            assert "no such instruction set" in str(error)  # noqa: PT017
            continue
        for dim in (DIM, 64, 51, 1):
            found.setdefault(dim, []).append(bytes(tier.encode(several, dim, True, 0)))
    for rows in found.values():
        assert rows.count(rows[0]) == len(rows)


def test_vectors_do_not_depend_on_batch_order_or_threads(models):  # noqa: F811
    several = texts() * 40
    for kind in ("f32", "int8_row", "int8_column", "int4"):
        one = Encoder.from_pretrained(models[kind], backend="native", threads=1).encode(several)
        many = Encoder.from_pretrained(models[kind], backend="native", threads=4)
        assert many.encode(several).tobytes() == one.tobytes()
        assert many.encode(several[::-1])[::-1].tobytes() == one.tobytes()


def test_the_exported_directory_without_this_package(models, run_outside):  # noqa: F811
    code = (
        "import sys, json\nfrom sentence_transformers import SentenceTransformer\n"
        "m = SentenceTransformer(sys.argv[1], trust_remote_code=True, device='cpu')\n"
        "print(json.dumps(m.encode(['a red planet', ''], normalize_embeddings=True).tolist()))\n"
    )
    done = run_outside(code, str(models["int8_column"]))
    assert done.returncode == 0, done.stderr
    ours = Encoder.from_pretrained(models["int8_column"]).encode(["a red planet", ""])
    np.testing.assert_allclose(np.array(json.loads(done.stdout.splitlines()[-1])), ours, atol=1e-6)
