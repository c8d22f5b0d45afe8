"""mteb: a retrieval task of your own from a BEIR folder. python examples/mteb_task.py MODEL BEIR_FOLDER [SPLIT].

pip install mteb sentence-transformers
"""

import csv
import json
import sys
from pathlib import Path

import mteb
from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from sentence_transformers import SentenceTransformer

folder = Path(sys.argv[2])
split = sys.argv[3] if len(sys.argv) > 3 else "test"


def records(name: str) -> Dataset:
    """The rows of a file with their ids and texts."""
    lines = (folder / name).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return Dataset.from_list(
        [{"id": row["_id"], "title": row.get("title", ""), "text": row["text"]} for row in rows]
    )


class LocalRetrieval(AbsTaskRetrieval):
    """The task; its data are read here, and not from the Hub."""

    metadata = TaskMetadata(
        name="LocalRetrieval",
        description=f"Retrieval over {folder.name}",
        dataset={"path": str(folder), "revision": "local"},
        type="Retrieval",
        category="t2t",
        eval_splits=[split],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )

    def load_data(self, num_proc: int | None = None, **kwargs: object) -> None:
        """Give mteb the corpus, the queries and what is relevant."""
        relevant: dict[str, dict[str, int]] = {}
        with open(folder / "qrels" / f"{split}.tsv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
        queries = records("queries.jsonl").remove_columns("title").filter(lambda row: row["id"] in relevant)
        data = {
            "corpus": records("corpus.jsonl"),
            "queries": queries,
            "relevant_docs": relevant,
            "top_ranked": None,
        }
        self.dataset = {"default": {split: data}}
        self.data_loaded = True


model = SentenceTransformer(
    sys.argv[1], trust_remote_code=True, device="cpu"
)  # a plain export needs no trust
result = mteb.evaluate(model, LocalRetrieval(), cache=None, show_progress_bar=False)
scores = result.task_results[0].scores[split][0]
for metric in ("ndcg_at_10", "mrr_at_10", "recall_at_100"):
    print(f"{metric}  {scores[metric]:.4f}")
