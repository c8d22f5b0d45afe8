"""Every example runs, and finds through the framework what ``Encoder`` finds alone."""

import ast
import json
import re
from importlib.util import find_spec

import pytest

from sse.edge import Encoder
from tests.integrations.conftest import DIM, EXAMPLES

PASSAGES = (EXAMPLES / "passages.txt").read_text(encoding="utf-8").splitlines()
QUERY = "how to get back into my account"
SEARCHES = {
    "langchain_search.py": ["langchain_huggingface"],
    "llama_index_search.py": ["llama_index.embeddings.huggingface"],
    "haystack_search.py": ["haystack", "haystack_integrations.components.embedders.sentence_transformers"],
    "qdrant_search.py": ["qdrant_client"],
    "lancedb_search.py": ["lancedb"],
    "vicinity_search.py": ["vicinity", "usearch"],
}


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def needs(*modules: str) -> list[pytest.MarkDecorator]:
    missing = [module for module in modules if not installed(module)]
    reason = f"needs {', '.join(missing)}: pip install 'stable-static-embedding[integrations]'"
    return [pytest.mark.slow, pytest.mark.skipif(bool(missing), reason=reason)]


@pytest.mark.parametrize(
    "example", [pytest.param(name, marks=needs(*modules)) for name, modules in SEARCHES.items()]
)
def test_a_search_finds_what_the_encoder_finds(run_example, exported, example):
    encoder = Encoder.from_pretrained(exported)
    scores = encoder.similarity(encoder.encode_query(QUERY), encoder.encode_document(PASSAGES))[0]
    best = sorted(zip(scores.tolist(), PASSAGES, strict=True), reverse=True)[:3]
    found = [line.split("  ", 1) for line in run_example(example, exported, QUERY).splitlines()]
    assert [text for _, text in found] == [text for _, text in best]
    assert [float(score) for score, _ in found] == pytest.approx([score for score, _ in best], abs=1e-3)


@pytest.mark.parametrize("given", [False, pytest.param(True, id="file")])
@pytest.mark.parametrize("_", [pytest.param(None, marks=needs("semhash"), id="semhash")])
def test_near_duplicates_are_found(run_example, exported, tmp_path, given, _):
    near = "Jupiter is the largest of the planets and has a storm wider than the Earth."
    file = tmp_path / "mine.txt"
    file.write_text("\n".join([*PASSAGES[:3], near]), encoding="utf-8")
    first, score_and_text, other = run_example(
        "semhash_duplicates.py", exported, *[file] * given
    ).splitlines()
    assert first == ("3 of 4 are kept" if given else "12 of 13 are kept")
    score, text = score_and_text.split("  ", 1)
    assert {text, other.strip()} == {near, PASSAGES[1]}
    encoder = Encoder.from_pretrained(exported)
    expected = encoder.similarity(encoder.encode(near), encoder.encode(PASSAGES[1]))
    assert float(score) == pytest.approx(float(expected[0, 0]), abs=1e-3)


@pytest.fixture
def beir(tmp_path):
    """A BEIR folder of the passages: two queries with answers, and one whose answer no model would put first."""
    queries = {"q1": "why is mars red", "q2": "how do I bake bread", "q3": "a violin has four strings"}
    relevant = [("q1", 0, 1), ("q2", 3, 2), ("q2", 4, 1), ("q3", 5, 1)]
    folder = tmp_path / "passages"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": text.split()[0], "text": text} for n, text in enumerate(PASSAGES)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in queries.items())
    )
    lines = ["query-id\tcorpus-id\tscore", *(f"{query}\td{n}\t{grade}" for query, n, grade in relevant)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("_", [pytest.param(None, marks=needs("mteb"), id="mteb")])
def test_mteb_measures_what_sse_eval_measures(run_example, exported, beir, _):
    from sse.eval import evaluate

    ours = evaluate(str(exported), [str(beir)], dims=[DIM]).to_dict()["sets"]["passages"]["dims"][str(DIM)]
    shown = dict(re.findall(r"^(\w+)  ([\d.]+)$", run_example("mteb_task.py", exported, beir), re.MULTILINE))
    assert 0 < ours["ndcg@10"] < 1
    assert float(shown["ndcg_at_10"]) == pytest.approx(ours["ndcg@10"], abs=1e-4)
    assert float(shown["mrr_at_10"]) == pytest.approx(ours["mrr@10"], abs=1e-4)


@pytest.mark.parametrize("_", [pytest.param(None, marks=needs("mteb"), id="mteb")])
def test_the_draft_for_mteb_says_what_the_model_says(run_example, exported, _):
    call = ast.parse(run_example("mteb_meta.py", exported, "somebody/my-model")).body[0].value
    meta = {word.arg: ast.literal_eval(word.value) for word in call.keywords[1:]}
    assert (call.func.id, call.keywords[0].arg) == ("ModelMeta", "loader")
    assert meta["name"] == "somebody/my-model"
    assert meta["n_parameters"] == 30522 * DIM + 3 * DIM
    assert meta["embed_dim"] == [DIM, 32]
    assert meta["loader_kwargs"] == {"trust_remote_code": True}
    assert meta["training_datasets"] is None


@pytest.mark.parametrize("_", [pytest.param(None, marks=needs("mteb"), id="mteb")])
def test_the_draft_names_tasks_of_mteb_that_the_released_model_has_seen(run_example, tmp_path, _):
    import mteb

    from sse.export import export

    released = export("sse-en-small", tmp_path / "sse-en-small").directory
    call = ast.parse(run_example("mteb_meta.py", released, "somebody/sse-en-small")).body[0].value
    seen = ast.literal_eval(next(word.value for word in call.keywords if word.arg == "training_datasets"))
    assert {"Banking77Classification", "CovidQA"} <= seen
    assert [name for name in seen if mteb.get_task(name).metadata.name != name] == []
