"""The model card: YAML that the Hub reads, and a page made from the model's own facts and measured results."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

from sse.export.card_facts import CardFacts
from sse.export.card_figures import Figures

TAGS = ["sentence-transformers", "static-embedding", "feature-extraction", "matryoshka", "retrieval"]


def render_card(model: CardFacts | str | Path, *, name: str | None = None) -> str:
    """Render the card of a model; the same files give the same text.

    Args:
        model: Its directory, the name of the model in this package, or its facts.
        name: Hub id or name, as it stands in the snippets; by default the directory's name.

    Returns:
        Markdown with the front matter of a Hub model card. Without results it has no figures and no model-index;
        a section whose training facts are absent is left out.

    Raises:
        SseError: A file of the model is missing or damaged, or results beside it are of other data.
    """
    facts = model if isinstance(model, CardFacts) else CardFacts.of(model, name)
    figures = Figures.of(facts)
    sources = facts.training.get("sources") or ()
    data = ModelCardData(
        language=facts.training.get("language"),
        license=facts.training.get("license"),
        library_name="sentence-transformers",
        base_model=facts.base_model,
        pipeline_tag="sentence-similarity",
        tags=TAGS,
        datasets=[source["hub"] for source in sources if source.get("hub")] or None,
        model_name=facts.name,
        eval_results=_eval_results(figures) if figures else None,
    )
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"cell": _cell, "score": _score, "count": "{:,}".format}
    template = (resources.files("sse.export") / "card.md.jinja").read_text(encoding="utf-8")
    body = environment.from_string(template).render(
        facts=facts,
        training=facts.training,
        sources=sources,
        figures=figures,
        smaller=next((dim for dim in facts.dims if dim < facts.dim), facts.dim),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _eval_results(figures: Figures) -> list[EvalResult]:
    """One model-index entry a set, at the largest dim, and one for the mean."""
    return [
        EvalResult(
            task_type="information-retrieval",
            task_name="Information Retrieval",
            dataset_type=name.replace(" ", "-"),
            dataset_name=name,
            metric_type=metric,
            metric_name=f"{label} at {figures.dims[0]} dims",
            metric_value=round(float(metrics[metric]), 4),
        )
        for name, metrics in figures.index
        for metric, label in (
            ("ndcg@10", "nDCG@10"),
            ("mrr@10", "MRR@10"),
            ("map@100", "MAP@100"),
            ("recall@10", "Recall@10"),
        )
        if metric in metrics
    ]
