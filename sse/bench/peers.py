"""The libraries beside which the model is measured, on the same vocabulary and width.

Their tables hold random numbers: the time does not depend on the values. They run with their defaults, so
they return plain means, while the model's rows include the tanh and the norm. model2vec uses at most 512
tokens of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sse.bench.methods import Loaded, Method, Model
from sse.errors import SseError, require

if TYPE_CHECKING:
    import numpy as np

MODEL2VEC, SENTENCE_TRANSFORMERS = "model2vec", "sentence-transformers"
NEEDS = {MODEL2VEC: ("model2vec", "bench"), SENTENCE_TRANSFORMERS: ("sentence_transformers", "train")}
"""Peer to the module that it is and the extra that brings it."""


def choose_peers(wanted: Sequence[str] | None) -> list[str]:
    """Check the peers that are asked for, or find those that are installed.

    Args:
        wanted: Names out of ``NEEDS``; None for all that are installed.

    Raises:
        SseError: A name is unknown.
        MissingExtraError: A peer that is asked for is not installed.
    """
    if wanted is None:
        return [name for name, (module, _) in NEEDS.items() if find_spec(module) is not None]
    for name in wanted:
        if name not in NEEDS:
            raise SseError(f"{name}: no such peer; there are {' and '.join(NEEDS)}")
        require(*NEEDS[name])
    return [name for name in NEEDS if name in wanted]


def write_peers(names: Sequence[str], model: Model, folder: Path) -> list[Method]:
    """Write a model directory for every peer into ``folder`` and give the methods that load them.

    Raises:
        MissingExtraError: A peer or ``tokenizers`` is not installed.
    """
    if not names:
        return []
    import numpy as np  # not above: it reads the number of threads when it is loaded

    tokenizer = require("tokenizers", "bench").Tokenizer.from_file(str(model.tokenizer_file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = tokenizer.get_vocab_size(with_added_tokens=True)
    table = np.random.default_rng(0).standard_normal((rows, model.dim), dtype=np.float32) * np.float32(0.1)
    return [_WRITERS[name](tokenizer, table, folder / name) for name in names]


def _write_model2vec(tokenizer: Any, table: np.ndarray, directory: Path) -> Method:
    library = require("model2vec", "bench")
    library.StaticModel(table, tokenizer).save_pretrained(str(directory))

    def load(threads: int) -> Loaded:
        model = library.StaticModel.from_pretrained(str(directory))
        return Loaded(model.encode, model.encode)

    source = f"from model2vec import StaticModel\nencode = StaticModel.from_pretrained({str(directory)!r}).encode\n"
    return Method(MODEL2VEC, load, source, is_peer=True)


def _write_sentence_transformers(tokenizer: Any, table: np.ndarray, directory: Path) -> Method:
    library = require("sentence_transformers", "train")
    try:  # sentence-transformers >= 6
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    except ImportError:
        from sentence_transformers.models import StaticEmbedding
    module = StaticEmbedding(tokenizer, embedding_weights=table)
    library.SentenceTransformer(modules=[module], device="cpu").save_pretrained(
        str(directory), create_model_card=False
    )

    def load(threads: int) -> Loaded:
        require("torch", "train").set_num_threads(1)
        model = library.SentenceTransformer(str(directory), device="cpu")

        def encode(texts: str | list[str]) -> object:
            return model.encode(texts, show_progress_bar=False)

        return Loaded(encode, encode)

    source = (
        "from sentence_transformers import SentenceTransformer\n"
        f"model = SentenceTransformer({str(directory)!r}, device='cpu')\n"
        "encode = lambda texts: model.encode(texts, show_progress_bar=False)\n"
    )
    return Method(SENTENCE_TRANSFORMERS, load, source, is_peer=True)


_WRITERS: dict[str, Callable[[Any, np.ndarray, Path], Method]] = {
    MODEL2VEC: _write_model2vec,
    SENTENCE_TRANSFORMERS: _write_sentence_transformers,
}
