"""From a recipe to the arguments and prompts of sentence-transformers' trainer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformerTrainingArguments
from transformers import __version__ as transformers_version

from sse.training.data.sources import LABELS, LoadedSource
from sse.training.recipe import Recipe

BEST_METRIC = "eval_ndcg@10"


def on_cpu() -> bool:
    """Whether to train on the CPU: there is no CUDA. Apple's GPUs lack operations that EmbeddingBag needs."""
    return not torch.cuda.is_available()


def training_arguments(
    recipe: Recipe, directory: Path, loaded: list[LoadedSource]
) -> SentenceTransformerTrainingArguments:
    """Translate a recipe; checkpoints go to ``directory``."""
    settings, evaluation = recipe.train, recipe.evaluation
    evaluates = bool(evaluation.suites)
    keeps_best = evaluates and evaluation.keep_best
    # transformers 5 takes a share as warmup_steps, transformers 4 as warmup_ratio.
    warmup = "warmup_ratio" if transformers_version.startswith("4.") else "warmup_steps"
    cpu = on_cpu()
    return SentenceTransformerTrainingArguments(
        output_dir=str(directory),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        learning_rate=settings.learning_rate,
        adam_beta1=settings.beta1,
        adam_beta2=settings.beta2,
        adam_epsilon=settings.eps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch_fused",
        lr_scheduler_type=settings.scheduler,
        bf16=settings.bf16,
        seed=settings.seed,
        data_seed=settings.seed,
        batch_sampler="no_duplicates" if settings.sampler == "no_duplicates" else "batch_sampler",
        multi_dataset_batch_sampler=settings.mixing,
        dataloader_num_workers=settings.workers,
        prompts=_prompts(recipe, loaded) or None,
        logging_steps=settings.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=evaluation.every if keeps_best else settings.save_every,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=evaluation.every if evaluates else None,
        load_best_model_at_end=keeps_best,
        metric_for_best_model=BEST_METRIC if evaluates else None,
        greater_is_better=True if evaluates else None,
        report_to=list(settings.report_to) or "none",
        run_name=recipe.name,
        disable_tqdm=True,
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and "WORLD_SIZE" in os.environ else None,
        **{warmup: settings.warmup},
    )


def _prompts(recipe: Recipe, loaded: list[LoadedSource]) -> dict[str, dict[str, str]]:
    """Prompts of each source's columns; a source without any is left out."""
    general = {"anchor": recipe.model.query_prompt, "positive": recipe.model.document_prompt}
    general["negative"] = recipe.model.document_prompt
    found: dict[str, dict[str, str]] = {}
    for item in loaded:
        known: dict[str, Any] = {**general, **item.source.prompts}
        columns = {name: known[name.split("_")[0]] for name in item.rows.column_names if name not in LABELS}
        if columns := {name: prompt for name, prompt in columns.items() if prompt}:
            found[item.source.name] = columns
    return found
