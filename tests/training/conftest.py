"""A small recipe over text that a small model can learn."""

import json
from pathlib import Path

import pytest

from sse.training import Recipe

RECIPE = """
name = "small"
sources = [{ name = "numbers", path = "pairs.jsonl", license = "CC0", trained_on = ["nq"] }]

[model]
dim = 16
tokenizer = "wordpiece"
vocabulary_size = 400

[loss]
dims = [16, 8]

[train]
batch_size = 32
max_steps = 12
log_every = 1
save_every = 4
keep = 2
"""


def write_pairs(path: Path, count: int = 256) -> None:
    words = ["mars", "venus", "table", "river", "music", "copper", "window", "garden"]
    rows = [
        {
            "anchor": f"which {words[n % 8]} is {n}",
            "positive": f"{words[n % 8]} {words[n // 8 % 8]} number {n}",
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "pairs.jsonl")
    file = tmp_path / "small.toml"
    file.write_text(RECIPE)
    return file


@pytest.fixture
def recipe(recipe_file: Path) -> Recipe:
    return Recipe.load(recipe_file)


@pytest.fixture
def beir_folder(tmp_path: Path) -> Path:
    """A BEIR folder over the same text: find the number's own sentence."""
    folder = tmp_path / "numbers-dev"
    (folder / "qrels").mkdir(parents=True)
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    corpus = [{"_id": f"d{n}", "title": "", "text": pair["positive"]} for n, pair in enumerate(pairs)]
    queries = [{"_id": f"q{n}", "text": pair["anchor"]} for n, pair in enumerate(pairs[:50])]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\td{n}\t1" for n in range(50))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder
