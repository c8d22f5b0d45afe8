"""Our figures are those of sentence-transformers' own evaluators, to 1e-6."""

import warnings

import numpy as np
import pytest
import torch

from sse.eval import evaluate, load_suites
from sse.eval.metrics import METRICS
from sse.eval.nanobeir import _evaluator_class
from tests.eval.helpers import Lookup, write_beir


def test_nanobeir_at_two_dims(model, nanobeir, nanobeir_mirror):
    report = evaluate(model, nanobeir, [64, 24], bm25=False)
    for dim, cut in ((64, None), (24, 24)):
        evaluator = _evaluator_class()(
            dataset_id=str(nanobeir_mirror), batch_size=256, truncate_dim=cut, write_csv=False
        )
        theirs = evaluator(model)
        suffix = "" if cut is None else f"_{cut}"
        for suite in nanobeir:
            ours = report.sets[suite.name].dims[dim].metrics
            expected = {metric: theirs[f"{suite.name}{suffix}_cosine_{metric}"] for metric in METRICS}
            assert ours == pytest.approx(expected, abs=1e-6), (suite.name, dim)
        assert report.mean(dim) == pytest.approx(theirs[f"NanoBEIR_mean{suffix}_cosine_ndcg@10"], abs=1e-6)
    assert 0.05 < report.mean(64) < 0.95, "a figure at the edge would agree by accident"


class LookupModel(Lookup):
    """The same encoder with the interface that the evaluator of sentence-transformers asks for."""

    def _tensor(self, texts, truncate_dim=None, **kwargs):
        return torch.from_numpy(self.encode(texts, normalize_embeddings=False)[:, :truncate_dim])

    encode_query = encode_document = _tensor


@pytest.fixture
def tied(tmp_path):
    """Vectors of 1 and -1: cosines are whole 64ths or 16ths, exact in float32, and most documents tie."""
    rng = np.random.default_rng(0)
    corpus = {str(number): f"document {number}" for number in rng.permutation(400)}
    queries = {f"q{number}": f"query {number}" for number in range(30)}
    vectors = {text: rng.choice([-1.0, 1.0], 64) for text in [*corpus.values(), *queries.values()]}
    for number in range(0, 400, 3):
        vectors[f"document {number}"] = vectors["document 1"]
    qrels = [
        (query, document, int(rng.integers(0, 4)))
        for query in queries
        for document in rng.choice(list(corpus), 40, replace=False)
    ]
    return write_beir(tmp_path / "tied", corpus, queries, qrels), vectors


def information_retrieval_evaluator():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
        except ImportError:
            from sentence_transformers.evaluation import InformationRetrievalEvaluator
    if not hasattr(InformationRetrievalEvaluator, "get_corpus_id_ranks"):
        pytest.skip("this sentence-transformers breaks ties by chance")
    return InformationRetrievalEvaluator


@pytest.mark.parametrize("dim", [64, 16])
def test_a_beir_folder_full_of_ties(tied, dim):
    from sentence_transformers.util import cos_sim

    folder, vectors = tied
    (suite,) = load_suites(folder)
    relevant = {query: set(grades) for query, grades in suite.qrels.items()}
    for chunk in (50_000, 70):
        evaluator = information_retrieval_evaluator()(
            suite.queries,
            suite.corpus,
            relevant,
            truncate_dim=dim,
            corpus_chunk_size=chunk,
            score_functions={"cosine": cos_sim},
        )
        theirs = evaluator.compute_metrices(LookupModel(vectors))["cosine"]
        expected = {
            metric: theirs[metric.split("@")[0] + "@k"][int(metric.split("@")[1])] for metric in METRICS
        }
        report = evaluate(Lookup(vectors), [suite], [dim], bm25=False, graded=False)
        assert report.sets["tied"].dims[dim].metrics == pytest.approx(expected, abs=1e-6)
        graded = evaluate(Lookup(vectors), [suite], [dim], bm25=False).sets["tied"].dims[dim].metrics
        assert graded["ndcg@10"] != pytest.approx(expected["ndcg@10"], abs=1e-4)
        assert graded["map@100"] == pytest.approx(expected["map@100"], abs=1e-6)
