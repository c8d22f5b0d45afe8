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
from transformers import TrainerCallback

from sse.environment import describe_environment, peak_memory_mb
from sse.errors import SseError
from sse.eval import SuiteEvaluator, load_suites
from sse.files import move_into, staged_directory, write_json
from sse.modeling import SSE, write_model
from sse.training.arguments import on_cpu, training_arguments
from sse.training.checkpoints import complete_checkpoints, remove_incomplete
from sse.training.data.clusters import group_rows
from sse.training.data.sources import as_dataset
from sse.training.facts import training_facts
from sse.training.loss.build import build_losses
from sse.training.prepare import Prepared, prepare, starting_model
from sse.training.progress import ProgressBar, plot_training
from sse.training.recipe import Recipe
from sse.training.trainer import SSETrainer
from sse.training.weights.averaging import MovingAverage, blend

# A resumed training may differ from the first one in these, and in nothing else.
MAY_CHANGE = {"train": {"log_every", "save_every", "keep", "report_to", "workers"}, "evaluation": {"every"}}
# What checkpoints do not hold: the average, and the parameters of the loss.
NOT_RESUMED = ("train.moving_average", "loss.learn_scale", "loss.words_weight")


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
        prepared = prepare(
            recipe,
            directory,
            reuse=resume or not state.is_main_process,
            processes=state.num_processes,
            show_progress=show_progress,
        )
    loaded, model = prepared.loaded, starting_model(recipe, prepared)
    share = recipe.train.start_share
    start = {name: value.clone() for name, value in model[0].state_dict().items()} if share else {}
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
            loss=build_losses(
                recipe, model, loaded, state.num_processes, prepared.statistics, prepared.vectors
            ),
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
    if share:
        blend(model[0], start, share)
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
    module: SSE = model[0]
    module.training_facts = training_facts(
        recipe, loaded, steps=result.steps, seconds=seconds, contaminated=prepared.contaminated
    )
    if state.is_main_process:
        _write(result, recipe, prepared, directory)
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
    for key in NOT_RESUMED:
        part, name = key.split(".")
        if getattr(getattr(recipe, part), name):
            raise SseError(f"{output}: a training with {key} cannot be resumed; start it anew elsewhere")
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


def _callbacks(recipe: Recipe, show_progress: bool) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = [ProgressBar()] if show_progress else []
    if recipe.train.moving_average is not None:
        callbacks.append(MovingAverage(recipe.train.moving_average))
    return callbacks


def _write(
    result: TrainResult,
    recipe: Recipe,
    prepared: Prepared,
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
            "rows_dropped": {item.source.name: item.dropped for item in prepared.loaded if item.dropped},
            "rows_contaminated": {name: rows for name, rows in prepared.contaminated.items() if rows},
            "environment": describe_environment(),
            "log": result.log,
        },
    )
    plot_training(result.log, directory / "training.png")
