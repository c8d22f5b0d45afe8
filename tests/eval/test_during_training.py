"""SuiteEvaluator alone and inside the trainer."""

import pytest
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

from sse.errors import SseError
from sse.eval import SuiteEvaluator, evaluate

try:  # sentence-transformers >= 5.4
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
except ImportError:
    from sentence_transformers.losses import MultipleNegativesRankingLoss


def test_keys_and_values(model, animals):
    evaluator = SuiteEvaluator([animals], [64, 32, 16])
    metrics = evaluator(model, output_path=None, epoch=0.5, steps=10)
    assert list(metrics) == ["ndcg@10", "dim32_ndcg@10", "dim16_ndcg@10", "animals_ndcg@10"]
    assert all(type(value) is float for value in metrics.values())
    report = evaluate(model, animals, [64, 32, 16], bm25=False)
    assert metrics["ndcg@10"] == report.mean(64)
    assert metrics["dim16_ndcg@10"] == report.mean(16)
    assert evaluator.primary_metric in metrics
    with pytest.raises(SseError, match="nowhere"):
        SuiteEvaluator("nowhere")


def test_the_trainer_chooses_its_best_checkpoint_by_it(model, animals, tmp_path):
    pairs = Dataset.from_dict({"anchor": ["red fox", "blue whale"] * 4, "positive": ["a fox", "a whale"] * 4})
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=4,
        per_device_train_batch_size=4,
        learning_rate=0.5,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_ndcg@10",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    evaluator = SuiteEvaluator(animals, [64, 16])
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=pairs,
        loss=MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "eval_ndcg@10" in entry]
    assert len(logged) == 2
    assert {"eval_dim16_ndcg@10", "eval_animals_ndcg@10"} <= set(logged[0])
    assert trainer.state.best_metric == max(entry["eval_ndcg@10"] for entry in logged)
    assert evaluator(model)["ndcg@10"] == pytest.approx(trainer.state.best_metric)
