"""Measures a model while it trains: an evaluator for SentenceTransformerTrainer, over suites loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sse.eval.suites import Suite, load_suites
from sse.eval.sweep import evaluate

try:  # sentence-transformers >= 5.4
    from sentence_transformers.base.evaluation import BaseEvaluator as SentenceEvaluator
except ImportError:  # sentence-transformers 5.2 and 5.3
    from sentence_transformers.evaluation import SentenceEvaluator


class SuiteEvaluator(SentenceEvaluator):
    """nDCG@10 at every dim, for ``SentenceTransformerTrainer(evaluator=...)``.

    The trainer puts ``eval_`` before the keys, so the best checkpoint is chosen with
    ``metric_for_best_model="eval_ndcg@10"``.

    Args:
        suites: Suites, or what ``load_suites`` takes. Sets for tuning, never those of the final report.
        dims: As for ``evaluate``.
        batch_size: Texts a batch.
        graded: As for ``evaluate``.

    Raises:
        SseError: A suite cannot be loaded.
    """

    def __init__(
        self,
        suites: str | Path | Suite | Sequence[str | Path | Suite],
        dims: Sequence[int] | None = None,
        *,
        batch_size: int = 1024,
        graded: bool = True,
    ) -> None:
        super().__init__()
        self.suites = load_suites(suites)
        self.dims = list(dims) if dims is not None else None
        self.batch_size = batch_size
        self.graded = graded
        self.greater_is_better = True
        self.primary_metric = "ndcg@10"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Measure ``model``; nothing is written.

        Returns:
            ``"ndcg@10"``, the mean over the sets at the largest dim; ``"dim256_ndcg@10"`` and so on, the
            means at the others; ``"<set>_ndcg@10"``, each set at the largest dim.
        """
        report = evaluate(
            model, self.suites, self.dims, bm25=False, batch_size=self.batch_size, graded=self.graded
        )
        largest, *others = report.dims
        metrics = {"ndcg@10": report.mean(largest)}
        metrics.update({f"dim{dim}_ndcg@10": report.mean(dim) for dim in others})
        for name, result in report.sets.items():
            metrics[f"{name}_ndcg@10"] = result.scores(largest).metrics["ndcg@10"]
        self.store_metrics_in_model_card_data(model, metrics, epoch, steps)
        return metrics

    def get_config_dict(self) -> dict[str, Any]:
        """What the model card says about this evaluator."""
        return {"sets": [suite.name for suite in self.suites], "dims": self.dims, "graded": self.graded}
