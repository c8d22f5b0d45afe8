"""The model card: YAML that the Hub reads, and a page made from the model's own facts and measured results."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

from sse.modeling import SSE


def render_card(
    module: SSE,
    *,
    name: str,
    results: Mapping[str, Any] | None = None,
    table: str = "float32",
    plain: bool = False,
) -> str:
    """Render README.md of a model.

    Args:
        module: The model; its training facts fill the sections on data and hyperparameters.
        name: Hub id or name, as it stands in the snippets.
        results: Content of results.json. Without it the card has no figures and no model-index.
        table: Stored form of the table, in words.
        plain: The card is for the plain twin, which needs no flag.

    Returns:
        Markdown with the front matter of a Hub model card.
    """
    facts = module.training_facts
    dims = [str(dim) for dim in module.matryoshka_dims or [module.get_embedding_dimension()]]
    data = ModelCardData(
        language=facts.get("language"),
        license=facts.get("license"),
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "static-embedding", "feature-extraction", "matryoshka", "retrieval"],
        datasets=[source["hub"] for source in facts.get("sources", ()) if source.get("hub")] or None,
        model_name=name,
        eval_results=_eval_results(results) if results else None,
    )
    template = (resources.files("sse.export") / "card.md.jinja").read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    body = environment.from_string(template).render(
        name=name,
        facts=facts,
        dim=module.get_embedding_dimension(),
        vocabulary=module.embedding.num_embeddings,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        dims=dims,
        smaller=dims[1] if len(dims) > 1 else dims[0],
        empty_text=module.empty_text,
        table=table,
        plain=plain,
        results=results,
        measured=_measured_dims(results),
        bm25=(results or {}).get("baselines", {}).get("bm25"),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def _measured_dims(results: Mapping[str, Any] | None) -> list[str]:
    """Dims that every set was measured at, largest first."""
    if not results:
        return []
    return sorted(results["mean"], key=int, reverse=True)


def _eval_results(results: Mapping[str, Any]) -> list[EvalResult]:
    """One model-index entry a set, at the largest dim, and one for the mean."""
    dim = _measured_dims(results)[0]
    rows = [(name, entry["dims"][dim]) for name, entry in results["sets"].items()]
    rows.append((f"mean of {len(rows)} sets", results["mean"][dim]))
    return [
        EvalResult(
            task_type="information-retrieval",
            task_name="Information Retrieval",
            dataset_type=name.replace(" ", "-"),
            dataset_name=name,
            metric_type=metric,
            metric_name=f"{label} at {dim} dims",
            metric_value=round(float(metrics[metric]), 4),
        )
        for name, metrics in rows
        for metric, label in (
            ("ndcg@10", "nDCG@10"),
            ("mrr@10", "MRR@10"),
            ("map@100", "MAP@100"),
            ("recall@10", "Recall@10"),
        )
        if metric in metrics
    ]
