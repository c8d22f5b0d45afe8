"""SentenceTransformerTrainer with whole checkpoints, portable model directories and the share of saturated units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
from torch import Tensor, nn
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from sse.errors import SseError
from sse.modeling import SSE, write_model
from sse.training.checkpoints import complete_checkpoints, mark_complete, remove_incomplete, rotate, step_of
from sse.training.data.clusters import GroupedBatchSampler

SATURATED_SLOPE = 0.1


class SSETrainer(SentenceTransformerTrainer):
    """Trains a ``SentenceTransformer`` whose first module is an ``SSE``.

    Beyond its base class: a checkpoint counts only when it is complete (see checkpoints.py), is written as
    a directory that loads anywhere, and is resumed from without running code in it; ``dyt_saturated`` is
    logged with the loss; the last step is evaluated too.

    Args:
        keep: Whole checkpoints to keep besides the best one.
        groups: For each source the group of each row, to fill batches with (see data/clusters.py).
        **kwargs: As for ``SentenceTransformerTrainer``.
    """

    def __init__(
        self, *, keep: int = 2, groups: Mapping[str, np.ndarray] | None = None, **kwargs: Any
    ) -> None:
        self.groups = groups or {}
        super().__init__(**kwargs)
        self.keep = keep
        self.remove_callback(PrinterCallback)
        self.add_callback(_EvaluateAtEnd())
        self._pooled: Tensor | None = None
        self._module().dyt.register_forward_pre_hook(self._remember)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave out the library's own card, which nothing here uses: cards are made by ``sse export``."""

    def get_batch_sampler(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Fill batches with groups where there are some."""
        name = next((name for name, rows in self.train_dataset.items() if rows is dataset), None)
        if name is None or name not in self.groups:
            return super().get_batch_sampler(dataset, *args, **kwargs)
        return GroupedBatchSampler(dataset, self.groups[name], *args, **kwargs)

    def _module(self) -> SSE:
        module: SSE = self.model[0]
        return module

    def _remember(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training:
            self._pooled = inputs[0].detach()

    def saturation(self) -> float | None:
        """Share of DyT units, over the last training batch, whose slope ``1 - tanh(z)^2`` is under a tenth.

        A saturated unit passes hardly any gradient. None before the first batch.
        """
        if self._pooled is None or not len(self._pooled):
            return None
        dyt = self._module().dyt
        with torch.no_grad():
            slope = 1 - torch.tanh(dyt.alpha * self._pooled + dyt.bias).square()
        return float((slope < SATURATED_SLOPE).float().mean())

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add ``dyt_saturated`` to the entries that carry a training loss."""
        if "loss" in logs and (share := self.saturation()) is not None:
            logs = {**logs, "dyt_saturated": round(share, 6)}
        super().log(logs, *args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if self.args.should_save:  # transformers 5 calls this in every process
            write_model(self.model, output_dir or self.args.output_dir)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        directory = Path(self.args.output_dir)
        checkpoint = directory / f"checkpoint-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)
            if self.args.should_save:
                mark_complete(checkpoint)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            remove_incomplete(directory)
            whole = complete_checkpoints(directory)
            kept = f"the last whole one is {whole[-1].name}" if whole else "there is no earlier one"
            reason = str(error).strip().splitlines()[0]
            raise SseError(f"{checkpoint}: the checkpoint could not be written ({reason}); {kept}") from error
        if self.args.should_save:
            best = self.state.best_model_checkpoint
            rotate(directory, self.keep, Path(best) if best else None)

    def _load_from_checkpoint(self, checkpoint_path: str, model: nn.Module | None = None) -> None:
        load_weights(self.model, Path(checkpoint_path))

    def _load_best_model(self) -> None:
        best = self.state.best_model_checkpoint
        if best is None:
            raise SseError("there is no best checkpoint: the evaluation gave no nDCG@10")
        load_weights(self.model, Path(best))
        self.model.model_card_data.set_best_model_step(step_of(Path(best)))


class _EvaluateAtEnd(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps and str(args.eval_strategy.value) != "no":
            control.should_evaluate = True


def load_weights(model: SentenceTransformer, checkpoint: Path) -> None:
    """Load the weights of a checkpoint into the model that is being trained."""
    module: SSE = model[0]
    module.load_state_dict(load_file(checkpoint / "model.safetensors"))
