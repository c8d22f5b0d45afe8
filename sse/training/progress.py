"""A progress bar on standard error, and the plot of a finished training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from sse.errors import require
from sse.files import staged_file


class ProgressBar(TrainerCallback):
    """Steps done, loss and the last measured nDCG@10, on one line of standard error."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start at the step that a resumed training starts from."""
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                unit="step",
                file=sys.stderr,
                dynamic_ncols=True,
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Show the newest figures."""
        for key, name in (("loss", "loss"), ("eval_ndcg@10", "nDCG@10")):
            if logs and key in logs:
                self._shown[name] = f"{float(logs[key]):.4f}"
        if self._bar is not None:
            self._bar.set_postfix(self._shown)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the finished bar on the screen."""
        if self._bar is not None:
            self._bar.close()


def plot_training(log: list[dict[str, Any]], path: str | Path) -> None:
    """Draw the loss, the share of saturated units and the measured nDCG@10 over the steps.

    Args:
        log: The trainer's log, entries with ``step`` and any of ``loss``, ``dyt_saturated``, ``eval_ndcg@10``.
        path: PNG file.
    """
    require("matplotlib", "eval")
    from matplotlib.figure import Figure

    series = {
        key: [(e["step"], e[key]) for e in log if key in e]
        for key in ("loss", "eval_ndcg@10", "dyt_saturated")
    }
    titles = {
        "loss": "training loss",
        "eval_ndcg@10": "mean nDCG@10",
        "dyt_saturated": "share of saturated DyT units",
    }
    drawn = [key for key, points in series.items() if points] or ["loss"]
    figure = Figure(figsize=(7, 2.4 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for axis, key in zip(axes, drawn, strict=True):
        axis.plot(*zip(*series[key], strict=True), marker="." if len(series[key]) < 40 else None)
        axis.set_ylabel(titles[key])
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    with staged_file(path) as part:
        figure.savefig(part, dpi=120)
