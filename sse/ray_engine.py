"""Work on files, spread over a Ray cluster by Ray Data; what a lost worker had begun is begun again.

Only names go to the workers and only numbers come back: the texts and vectors do not pass through Ray. Not here:
what the work is (:mod:`sse.encode_folder`).
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sse.errors import SseError, require

Work = Callable[[str], tuple[int, int]]


class FileWorker:
    """The actor: holds the work, and so the encoder.

    Args:
        work: A pickled ``Work``. It is opened at the first file, so that a machine without the model's directory
            says so in one sentence instead of dying.
    """

    def __init__(self, work: bytes) -> None:
        self._pickled = work
        self._work: Work | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Work on the one file of a batch; a mistake of the user's comes back as a sentence."""
        name = str(batch["name"][0])
        rows = resumed = 0
        error = ""
        try:
            self._work = self._work or pickle.loads(self._pickled)
            rows, resumed = self._work(name)
        except SseError as mistake:
            error = str(mistake)
        return {"name": [name], "rows": [rows], "resumed": [resumed], "error": [error]}


def run_on_ray(
    work: Work, names: Sequence[str], workers: int | None = None
) -> Iterator[tuple[str, int, int]]:
    """Do ``work`` for every name, each at least once; doing it twice must not matter.

    Args:
        work: Gives two numbers for a name; can be pickled.
        names: Files.
        workers: Actors of one core each; by default one for each core of the cluster, at most one a name.

    Yields:
        A name and its numbers, as they are done.

    Raises:
        SseError: The first mistake that a worker meets, or there is no cluster and none can be started.
    """
    require("ray", "ray")
    import ray.data

    with _cluster(), _quiet():
        cores = int(ray.cluster_resources().get("CPU", 1))
        size = max(1, min(workers or cores, len(names)))
        tasks = ray.data.from_items([{"name": name} for name in names], override_num_blocks=len(names))
        done = tasks.map_batches(
            FileWorker,
            fn_constructor_args=(pickle.dumps(work),),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=size, initial_size=size),
            num_cpus=1,
            batch_size=1,
        )
        for row in done.iter_rows():
            if row["error"]:
                raise SseError(row["error"])
            yield row["name"], int(row["rows"]), int(row["resumed"])


@contextmanager
def _cluster() -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a run reports nothing to anyone unless asked to
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # a wrong RAY_ADDRESS, or a machine too busy: they have no root in common
        ray.shutdown()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise SseError(f"Ray cannot be reached or started: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    from ray.data import DataContext

    context, logger = DataContext.get_current(), logging.getLogger("ray.data")
    before, level = context.enable_progress_bars, logger.level
    context.enable_progress_bars = False  # the caller has a bar of its own
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = before
        logger.setLevel(level)
