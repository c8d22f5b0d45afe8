"""The table before the training: random, shaped by frequency, read off a transformer, or another static model's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from sse.errors import SseError
from sse.files import staged_file
from sse.hub_name import split_revision
from sse.modeling import SSE, load_model
from sse.training.data.cache import cached
from sse.training.recipe_parts import StartPart
from sse.training.start.fitted import fit_rows, pooling_weights
from sse.training.start.token_statistics import TokenStatistics
from sse.training.teacher.encoder import encode_texts, unit_length

CONTINUED = "##"
FRAGMENT_TOKENS = 64


@dataclass(frozen=True)
class Start:
    """Where a training begins."""

    table: np.ndarray
    """float32 (rows, dim)."""
    dyt: dict[str, torch.Tensor] | None = None
    """Parameters of the DyT, if the model that it starts from has the same tokens."""


def make_start(
    part: StartPart,
    tokenizer: Tokenizer,
    dim: int,
    statistics: TokenStatistics | None,
    seed: int,
    *,
    texts: list[str] | None = None,
    count_exponent: float = 1.0,
    show_progress: bool = False,
) -> Start | None:
    """Make the table that a recipe's ``start`` asks for.

    Args:
        part: What to start from.
        tokenizer: The tokenizer of the model to train.
        dim: Columns.
        statistics: Of the recipe's text; needed where rows are scaled by frequency.
        seed: Of the random directions and the noise.
        texts: To fit a transformer's rows on, if the recipe asks for it.
        count_exponent: Of the model to train; rows are fitted as it will average them.
        show_progress: Progress bar on standard error while the transformer reads the texts.

    Returns:
        The start, or None for rows from N(0, 1), which the module makes itself.

    Raises:
        SseError: The model cannot be read, or its width does not fit.
    """
    if part.kind == "normal":
        return None
    if part.kind == "model":
        return _from_static(str(part.model), tokenizer, dim, seed, part.noise)
    assert statistics is not None
    rng = np.random.default_rng(seed)
    factors = _factors(part.scale, statistics)[:, None]
    rows = len(factors)
    if part.kind == "idf":
        table = factors * rng.standard_normal((rows, dim), dtype=np.float32)
    else:
        vectors = _token_vectors(str(part.model), tokenizer, rows)
        width = min(dim, vectors.shape[1], part.components or dim)
        if texts:
            pooling = pooling_weights(texts, tokenizer, rows, count_exponent)
            wanted = encode_texts(str(part.model), texts, FRAGMENT_TOKENS, show_progress, key="start.model")
            # The directions only: lengths by rank search better than fitted ones.
            vectors = unit_length(fit_rows(pooling, wanted, factors * (vectors - vectors.mean(axis=0))))
        table = principal_components(vectors, width)
        # As in a table of which each element has variance 1 before the factors.
        table *= factors * np.sqrt(rows * dim / (table**2).sum())
        noise = part.noise * rng.standard_normal((rows, dim - width), dtype=np.float32)
        table = np.hstack([table, factors * noise])
    return Start(np.ascontiguousarray(table / table.std(), dtype=np.float32))


def needs_statistics(part: StartPart) -> bool:
    """Whether ``make_start`` wants the statistics."""
    return part.kind in ("idf", "transformer")


def principal_components(vectors: np.ndarray, dim: int) -> np.ndarray:
    """Centre vectors (n, width) and turn them onto their ``dim`` leading principal axes, float32 (n, dim)."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))  # ascending
    turned: np.ndarray = (centred @ axes[:, ::-1][:, :dim]).astype(np.float32)
    return turned


def _factors(scale: str, statistics: TokenStatistics) -> np.ndarray:
    if scale == "none":
        return np.ones(len(statistics.count), np.float32)
    return {"rank": statistics.log_rank, "idf": statistics.idf, "sif": statistics.sif}[scale]()


def token_texts(tokenizer: Tokenizer, rows: int) -> list[str]:
    """The text of every row: a piece inside a word without its mark, nothing for a row without a token."""
    texts = [""] * rows
    for token, number in tokenizer.get_vocab().items():
        texts[number] = token.removeprefix(CONTINUED)
    return texts


def _token_vectors(name: str, tokenizer: Tokenizer, rows: int) -> np.ndarray:
    """Each token alone through the transformer, float32 (rows, width); kept in the cache of the data sets."""
    texts = token_texts(tokenizer, rows)
    file = cached("tokens", ".npy", name, texts)
    if file.is_file():
        found: np.ndarray = np.load(file)
        return found
    try:
        repository, revision = split_revision(name)
        model = SentenceTransformer(repository, revision=revision)
    except (OSError, ValueError) as error:
        raise SseError(f"start.model: {name}: {str(error).strip().splitlines()[0]}") from error
    vectors = np.asarray(model.encode(texts, batch_size=256, show_progress_bar=False), np.float32)
    with staged_file(file) as part:
        np.save(part, vectors)
    return vectors


def _from_static(name: str, tokenizer: Tokenizer, dim: int, seed: int, noise: float) -> Start:
    """Rows by the tokens' text; a token that the other model lacks gets the mean of its pieces there."""
    model = load_model(name)
    module = model[0]
    if not hasattr(module, "embedding") or not hasattr(module, "tokenizer"):
        raise SseError(f"start.model: {name}: is not a static model")
    theirs = module.tokenizer
    table = module.embedding.weight.detach().to(torch.float32).numpy()
    if table.shape[1] < dim:
        raise SseError(f"start.model: {name}: has {table.shape[1]} dimensions, model.dim is {dim}")
    table = table[:, :dim]
    same = tokenizer.to_str() == theirs.to_str()
    dyt = (
        {key: value[:dim] for key, value in module.dyt.state_dict().items()}
        if isinstance(module, SSE)
        else None
    )
    if same:
        return Start(table.copy(), dyt)
    known = theirs.get_vocab()
    mine = tokenizer.get_vocab()
    rows = max(mine.values()) + 1
    rng = np.random.default_rng(seed)
    out = (noise * table.std() * rng.standard_normal((rows, dim))).astype(np.float32)
    for token, number in mine.items():
        if token in known:
            out[number] = table[known[token]]
        elif pieces := theirs.encode(token.removeprefix(CONTINUED), add_special_tokens=False).ids:
            out[number] = table[pieces].mean(axis=0)
    return Start(out, dyt)
