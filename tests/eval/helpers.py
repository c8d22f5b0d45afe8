"""Data sets that tests write to disk, and encoders that need no weights."""

import json
import random
from pathlib import Path

import numpy as np

_NANOBEIR = """
ClimateFEVER DBPedia FEVER FiQA2018 HotpotQA MSMARCO NFCorpus NQ QuoraRetrieval SCIDOCS ArguAna SciFact
Touche2020
"""
_WORDS = """
planet water stone river music engine theory garden winter letter market doctor camera forest bridge island
history number paper window energy animal system moment artist battle coffee desert empire flower
"""
NANOBEIR = _NANOBEIR.split()
WORDS = _WORDS.split()


def write_beir(folder: Path, corpus, queries, qrels, qrels_name="test.tsv") -> Path:
    """Write a BEIR folder; ``corpus`` is {id: text or (title, text)}, ``qrels`` (query, document, score)."""
    (folder / "qrels").mkdir(parents=True)
    documents = [
        {"_id": key, "title": text[0], "text": text[1]}
        if isinstance(text, tuple)
        else {"_id": key, "text": text}
        for key, text in corpus.items()
    ]
    for name, rows in (
        ("corpus.jsonl", documents),
        ("queries.jsonl", [{"_id": key, "text": text} for key, text in queries.items()]),
    ):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in qrels)]
    (folder / "qrels" / qrels_name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_nanobeir(folder: Path, documents=120, queries=5) -> Path:
    """Write a mirror of all 13 NanoBEIR sets; each has an empty document and judges a missing one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(0)
    blocks = []
    for part in ("corpus", "queries", "qrels"):
        (folder / part).mkdir(parents=True)
        files = [
            f"  - split: Nano{name}\n    path: {part}/Nano{name}-00000-of-00001.parquet" for name in NANOBEIR
        ]
        blocks.append(f"- config_name: {part}\n  data_files:\n" + "\n".join(files))
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(blocks) + "\n---\n", encoding="utf-8")
    for name in NANOBEIR:
        ids = [f"d{number}" for number in range(documents)]
        texts = [" ".join(rng.choices(WORDS, k=rng.randint(4, 15))) for _ in ids]
        texts[7] = ""
        query_ids = [f"q{number}" for number in range(queries)]
        relevant = [
            (query, document) for query in query_ids for document in rng.sample(ids, rng.randint(1, 14))
        ]
        relevant.append(("q0", "missing"))
        tables = {
            "corpus": {"_id": ids, "text": texts},
            "queries": {"_id": query_ids, "text": [" ".join(rng.choices(WORDS, k=5)) for _ in query_ids]},
            "qrels": {
                "query-id": [query for query, _ in relevant],
                "corpus-id": [doc for _, doc in relevant],
            },
        }
        for part, columns in tables.items():
            pq.write_table(pa.table(columns), folder / part / f"Nano{name}-00000-of-00001.parquet")
    return folder


class Lookup:
    """An encoder that looks texts up in a table, counts its calls, and knows only ``encode``."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors
        self.calls: list[list[str]] = []

    def encode(self, texts, *, batch_size=32, normalize_embeddings=True, show_progress_bar=None):
        assert not normalize_embeddings
        self.calls.append(list(texts))
        return np.stack([self.vectors[text] for text in texts]).astype(np.float32)
