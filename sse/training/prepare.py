"""What a training needs before its first step: data, tokenizer, counts, teacher vectors, and the model at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import set_seed

from sse.errors import SseError
from sse.files import staged_file
from sse.modeling import SSE, build_model
from sse.training.data.cache import cached
from sse.training.data.crops import add_crops
from sse.training.data.decontaminate import decontaminate
from sse.training.data.negatives import add_negatives
from sse.training.data.sources import LoadedSource, load_sources, texts_of
from sse.training.recipe import Recipe
from sse.training.start.dyt import prepare_dyt
from sse.training.start.fragments import draw_fragments
from sse.training.start.table import Start, make_start, needs_statistics
from sse.training.start.token_statistics import TokenStatistics, count_tokens
from sse.training.start.vocabulary import load_tokenizer, train_wordpiece
from sse.training.teacher.vectors import TeacherVectors, encode_rows
from sse.training.weights.row_gradients import level_row_gradients

STATISTICS_ROWS, ALPHA_ROWS = 50_000, 2000


@dataclass(frozen=True)
class Prepared:
    """Everything that is read or made from the data."""

    loaded: list[LoadedSource]
    contaminated: dict[str, int]
    """Rows taken out because an evaluation has them, by source."""
    tokenizer: Tokenizer
    statistics: TokenStatistics | None
    vectors: TeacherVectors | None
    start: Start | None


def prepare(recipe: Recipe, directory: Path, *, reuse: bool, processes: int, show_progress: bool) -> Prepared:
    """Read the data and make what follows from it.

    Args:
        recipe: What to do.
        directory: Where a trained tokenizer is kept.
        reuse: Take the tokenizer from there if it is there.
        processes: How many train together.
        show_progress: Progress bar of slow steps.

    Raises:
        SseError: Bad data, or data that several processes cannot share.
    """
    loaded = load_sources(recipe)
    contaminated: dict[str, int] = {}
    if recipe.evaluation.decontaminate:
        loaded, contaminated = decontaminate(loaded, list(recipe.evaluation.decontaminate))
    loaded = add_negatives(loaded, recipe.negatives, recipe.train.seed)
    _refuse_uneven(recipe, loaded, processes)
    tokenizer = _tokenizer(recipe, loaded, directory, reuse)
    loaded = add_crops(loaded, recipe.crops, recipe.train.seed)
    statistics, vectors = _statistics(recipe, loaded, tokenizer), None
    if recipe.teacher.weight:
        loaded, vectors = encode_rows(loaded, recipe.teacher, recipe.train.seed, show_progress)
    seed = recipe.train.seed if recipe.start.seed is None else recipe.start.seed
    start = make_start(
        recipe.start,
        tokenizer,
        recipe.model.dim,
        statistics,
        seed,
        texts=draw_fragments(loaded, recipe.start.texts) if recipe.start.texts else None,
        count_exponent=recipe.model.count_exponent,
        show_progress=show_progress,
    )
    return Prepared(loaded, contaminated, tokenizer, statistics, vectors, start)


def starting_model(recipe: Recipe, prepared: Prepared) -> SentenceTransformer:
    """The model before the first step; its random numbers follow the recipe's seed."""
    part, start = recipe.model, prepared.start
    set_seed(recipe.train.seed)
    module = SSE(
        prepared.tokenizer,
        part.dim,
        weights=start.table if start else None,
        alpha_init=0.5 if part.alpha_init == "data" else part.alpha_init,
        max_seq_length=part.max_seq_length,
        empty_text=part.empty_text,
        count_exponent=part.count_exponent,
        matryoshka_dims=recipe.loss.dims,
    )
    if start and start.dyt:
        module.dyt.load_state_dict(start.dyt)
    texts = list(texts_of(prepared.loaded, ALPHA_ROWS)) if part.alpha_init == "data" else ()
    prepare_dyt(module, part.dyt, texts)
    if recipe.train.level_rows is not None:
        level_row_gradients(module.embedding, recipe.train.level_rows)
    return build_model(module, query_prompt=part.query_prompt, document_prompt=part.document_prompt)


def _refuse_uneven(recipe: Recipe, loaded: list[LoadedSource], processes: int) -> None:
    """Processes draw batches of different sources in one step, and rank against each other's texts."""
    if processes == 1:
        return
    if recipe.loss.lexical_weight or recipe.teacher.weight:
        raise SseError(
            "a teacher scores the texts of one process: set its weight to 0 or train in one process"
        )
    first, size = loaded[0], recipe.train.batch_size
    for item in loaded:
        if len(item.rows) < size:  # only full batches are taken, so that processes have equally many rows
            raise SseError(
                f"source {item.source.name!r}: its {len(item.rows)} rows do not fill a batch of {size}, and with "
                "several processes only full batches are trained on; lower train.batch_size or set its weight to 0"
            )
        if len(item.rows.column_names) != len(first.rows.column_names):
            raise SseError(
                f"sources {first.source.name!r} and {item.source.name!r} have different columns, which several "
                "processes cannot rank together; set negatives = 0 for the one with more"
            )


def _tokenizer(recipe: Recipe, loaded: list[LoadedSource], directory: Path, reuse: bool) -> Tokenizer:
    """The recipe's tokenizer; a trained one is kept, for resuming and for the other processes."""
    if recipe.model.tokenizer != "wordpiece":
        return load_tokenizer(recipe.model.tokenizer)
    file = directory / "tokenizer.json"
    if reuse and file.is_file():
        return load_tokenizer(str(file))
    part = recipe.model
    kept = cached("vocabulary", ".json", part.vocabulary_size, part.vocabulary_rows, _origin(loaded))
    if kept.is_file():
        tokenizer = load_tokenizer(str(kept))
    else:
        tokenizer = train_wordpiece(texts_of(loaded, part.vocabulary_rows), part.vocabulary_size)
    for place in (kept, file):
        with staged_file(place) as staged:
            tokenizer.save(str(staged))
    return tokenizer


def _origin(loaded: list[LoadedSource]) -> list[tuple[str, str]]:
    """What tells one set of texts from another: the fingerprints that ``datasets`` gives."""
    return [(item.source.name, item.rows._fingerprint) for item in loaded]


def _statistics(recipe: Recipe, loaded: list[LoadedSource], tokenizer: Tokenizer) -> TokenStatistics | None:
    """Counts over the recipe's text, if anything in it wants them."""
    if not (needs_statistics(recipe.start) or recipe.loss.lexical_weight or recipe.loss.words_weight):
        return None
    rows = max(tokenizer.get_vocab().values()) + 1
    return count_tokens(texts_of(loaded, STATISTICS_ROWS), tokenizer, rows)
