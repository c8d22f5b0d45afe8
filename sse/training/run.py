"""``train``: from a recipe to a model directory, with all that is needed to repeat or resume it beside it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from accelerate import PartialState
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import TrainerCallback, set_seed

from sse.environment import describe_environment, peak_memory_mb
from sse.errors import SseError
from sse.eval import SuiteEvaluator, load_suites
from sse.files import move_into, staged_directory, staged_file, write_json
from sse.modeling import SSE, build_model, write_model
from sse.training.arguments import on_cpu, training_arguments
from sse.training.checkpoints import complete_checkpoints, remove_incomplete
from sse.training.data.cache import cached
from sse.training.data.clusters import group_rows
from sse.training.data.crops import add_crops
from sse.training.data.decontaminate import decontaminate
from sse.training.data.negatives import add_negatives
from sse.training.data.sources import LoadedSource, as_dataset, load_sources, texts_of
from sse.training.facts import training_facts
from sse.training.loss.build import build_losses
from sse.training.progress import ProgressBar, plot_training
from sse.training.recipe import Recipe
from sse.training.start.dyt import prepare_dyt
from sse.training.start.table import make_start, needs_statistics
from sse.training.start.token_statistics import TokenStatistics, count_tokens
from sse.training.start.vocabulary import load_tokenizer, train_wordpiece
from sse.training.teacher.vectors import encode_rows
from sse.training.trainer import SSETrainer
from sse.training.weights.averaging import MovingAverage
from sse.training.weights.row_gradients import level_row_gradients

# A resumed training may differ from the first one in these, and in nothing else.
STATISTICS_ROWS, ALPHA_ROWS = 50_000, 2000
MAY_CHANGE = {"train": {"log_every", "save_every", "keep", "report_to", "workers"}, "evaluation": {"every"}}


@dataclass(frozen=True)
class TrainResult:
    """What a training gave."""

    directory: Path
    """The model directory; the log, the checkpoints and the plot are in ``training/`` inside it."""
    model: SentenceTransformer
    steps: int
    seconds: float
    """Wall time of the training itself, without loading the data; of the last run, if it was resumed."""
    loss: float | None
    """Mean loss over the last log interval."""
    best_ndcg: float | None
    """Best mean nDCG@10 measured during the training, or None without suites."""
    peak_memory_mb: float | None
    """Largest resident memory of this process, MiB, or None where the system does not tell."""
    rows: int
    log: list[dict[str, Any]]


def train(
    recipe: Recipe, output: str | Path, *, resume: bool = False, show_progress: bool = True
) -> TrainResult:
    """Train a model by a recipe.

    Under ``torchrun`` every process takes its share of each step; the batch size is that of one process,
    and texts are ranked against those of all processes.

    Args:
        recipe: What to do.
        output: Directory of the model, made if needed. ``training/`` in it holds checkpoints, log and plot.
        resume: Go on from the newest whole checkpoint in ``output``, or start if there is none.
        show_progress: Progress bar on standard error.

    Returns:
        Figures, and the trained model (the best checkpoint where the recipe says so).

    Raises:
        SseError: Bad data, a directory that holds another training, or a checkpoint that cannot be written.
    """
    state = PartialState(cpu=on_cpu())
    output = Path(output)
    directory = output / "training"
    whole = complete_checkpoints(directory)
    _refuse_conflict(recipe, output, bool(whole), resume)
    if state.is_main_process:
        directory.mkdir(parents=True, exist_ok=True)
        remove_incomplete(directory)
        write_json(directory / "recipe.json", recipe.model_dump(mode="json"))
    suites = load_suites(list(recipe.evaluation.suites)) if recipe.evaluation.suites else []
    if all(source.hub is None for source in recipe.sources):
        datasets.disable_progress_bars()  # worth seeing only for downloads
    with state.main_process_first():  # the first one fills the cache of the data sets
        loaded = load_sources(recipe)
        contaminated: dict[str, int] = {}
        if recipe.evaluation.decontaminate:
            loaded, contaminated = decontaminate(loaded, list(recipe.evaluation.decontaminate))
        loaded = add_negatives(loaded, recipe.negatives, recipe.train.seed)
        _refuse_uneven(recipe, loaded, state.num_processes)
        tokenizer = _tokenizer(recipe, loaded, directory, reuse=resume or not state.is_main_process)
        loaded = add_crops(loaded, recipe.crops, recipe.train.seed)
        statistics = _statistics(recipe, loaded, tokenizer)
        vectors = None
        if recipe.teacher.weight:
            loaded, vectors = encode_rows(loaded, recipe.teacher, recipe.train.seed, show_progress)
        start = make_start(recipe.start, tokenizer, recipe.model.dim, statistics, recipe.train.seed)

    set_seed(recipe.train.seed)
    module = SSE(
        tokenizer,
        recipe.model.dim,
        weights=start.table if start else None,
        alpha_init=0.5 if recipe.model.alpha_init == "data" else recipe.model.alpha_init,
        max_seq_length=recipe.model.max_seq_length,
        empty_text=recipe.model.empty_text,
        count_exponent=recipe.model.count_exponent,
        matryoshka_dims=recipe.loss.dims,
    )
    if start and start.dyt:
        module.dyt.load_state_dict(start.dyt)
    prepare_dyt(
        module,
        recipe.model.dyt,
        list(texts_of(loaded, ALPHA_ROWS)) if recipe.model.alpha_init == "data" else (),
    )
    if recipe.train.level_rows is not None:
        level_row_gradients(module.embedding, recipe.train.level_rows)
    model = build_model(
        module, query_prompt=recipe.model.query_prompt, document_prompt=recipe.model.document_prompt
    )
    arguments = training_arguments(recipe, directory, loaded)
    model.to(arguments.device)
    try:
        trainer = SSETrainer(
            keep=recipe.train.keep,
            groups=group_rows(loaded, model, recipe.train.group_size, recipe.train.seed)
            if recipe.train.group_size
            else None,
            model=model,
            args=arguments,
            train_dataset=as_dataset(loaded),
            loss=build_losses(recipe, model, loaded, state.num_processes, statistics, vectors),
            evaluator=SuiteEvaluator(suites, dims=recipe.evaluation.dims or recipe.loss.dims)
            if suites
            else None,
            callbacks=_callbacks(recipe, show_progress),
        )
    except RuntimeError as error:
        if "to be installed" in str(error):
            raise SseError(f"train.report_to: {str(error).strip()}") from error
        raise
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(whole[-1]) if whole else None)
    seconds = time.perf_counter() - started
    model.to("cpu")
    log = trainer.state.log_history
    result = TrainResult(
        directory=output,
        model=model,
        steps=trainer.state.global_step,
        seconds=seconds,
        loss=next((entry["loss"] for entry in reversed(log) if "loss" in entry), None),
        best_ndcg=trainer.state.best_metric,
        peak_memory_mb=peak_memory_mb(),
        rows=sum(len(item.rows) for item in loaded),
        log=log,
    )
    module.training_facts = training_facts(
        recipe, loaded, steps=result.steps, seconds=result.seconds, contaminated=contaminated
    )
    if state.is_main_process:
        _write(result, recipe, loaded, contaminated, directory)
    return result


def _refuse_conflict(recipe: Recipe, output: Path, has_checkpoints: bool, resume: bool) -> None:
    """A directory is trained into once, or resumed by the recipe that it was started with."""
    if output.is_file():
        raise SseError(f"{output}: is a file, not a directory")
    if not resume:
        if has_checkpoints or (output / "modules.json").exists():
            raise SseError(
                f"{output}: already holds a training; resume it (--resume) or name another directory"
            )
        return
    file = output / "training" / "recipe.json"
    if not has_checkpoints or not file.is_file():
        return
    before, now = json.loads(file.read_text(encoding="utf-8")), recipe.model_dump(mode="json")
    for part, value in now.items():
        old = before.get(part)
        if not isinstance(value, dict) or not isinstance(old, dict):
            if old != value:
                raise SseError(f"{output}: cannot be resumed: the recipe's {part} has changed")
            continue
        for key in sorted((set(value) | set(old)) - MAY_CHANGE.get(part, set())):
            if old.get(key) != value.get(key):
                changed = f"{part}.{key} was {old.get(key)!r}, is {value.get(key)!r}"
                raise SseError(f"{output}: cannot be resumed: {changed}")


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


def _callbacks(recipe: Recipe, show_progress: bool) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [ProgressBar()] if show_progress else []
    if recipe.train.moving_average is not None:
        callbacks.append(MovingAverage(recipe.train.moving_average))
    return callbacks


def _write(
    result: TrainResult,
    recipe: Recipe,
    loaded: list[LoadedSource],
    contaminated: dict[str, int],
    directory: Path,
) -> None:
    with staged_directory(directory / "model") as part:
        write_model(result.model, part)
    move_into(directory / "model", result.directory, last="modules.json")
    (directory / "model").rmdir()
    write_json(
        directory / "result.json",
        {
            "recipe": recipe.name,
            "steps": result.steps,
            "seconds": result.seconds,
            "loss": result.loss,
            "best_ndcg": result.best_ndcg,
            "peak_memory_mb": result.peak_memory_mb,
            "rows": result.rows,
            "rows_dropped": {item.source.name: item.dropped for item in loaded if item.dropped},
            "rows_contaminated": {name: rows for name, rows in contaminated.items() if rows},
            "environment": describe_environment(),
            "log": result.log,
        },
    )
    plot_training(result.log, directory / "training.png")
