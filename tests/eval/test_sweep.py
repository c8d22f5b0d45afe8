"""What evaluate does around the metrics: encodes once, cuts, chooses dims, groups sets."""

import numpy as np
import pytest

from sse.errors import SseError
from sse.eval import Suite, evaluate
from sse.modeling import SSE, build_model
from tests.eval.helpers import Lookup


@pytest.fixture
def lookup(animals):
    rng = np.random.default_rng(0)
    return Lookup(
        {text: rng.standard_normal(48) for text in [*animals.queries.values(), *animals.corpus.values()]}
    )


def test_texts_are_encoded_once_and_unjudged_queries_never(lookup, animals):
    report = evaluate(lookup, [animals], [48, 32, 7])
    assert lookup.calls == [["red fox", "blue whale"], ["the red fox", "a blue whale swims", "red wine", ""]]
    assert report.dims == [48, 32, 7]
    assert (report.sets["animals"].queries, report.sets["animals"].docs) == (2, 4)


def test_queries_and_documents_have_their_own_encode(lookup, animals):
    class Prompted(Lookup):
        def encode_query(self, texts, **kwargs):
            return self.encode(["query: " + text for text in texts], **kwargs)

        def encode_document(self, texts, **kwargs):
            return self.encode(["document: " + text for text in texts], **kwargs)

    prompted = Prompted(
        {
            f"{kind}: {text}": vector
            for text, vector in lookup.vectors.items()
            for kind in ("query", "document")
        }
    )
    evaluate(prompted, [animals], [48])
    assert prompted.calls[0] == ["query: red fox", "query: blue whale"]
    assert prompted.calls[1][0] == "document: the red fox"


def test_a_cut_is_normalised_again(animals):
    vectors = {
        "red fox": [1.0, 0.0, 0.0],
        "blue whale": [0.0, 1.0, 0.0],
        "the red fox": [0.1, 0.0, 50.0],  # the nearest to "red fox" once the last column is gone
        "a blue whale swims": [0.0, 1.0, 0.0],
        "red wine": [0.7, 0.7, 0.0],
        "": [0.0, 0.0, 0.0],
    }
    report = evaluate(Lookup({text: np.array(vector) for text, vector in vectors.items()}), [animals], [3, 2])
    at_3, at_2 = (report.sets["animals"].dims[dim].per_query["q1"] for dim in (3, 2))
    assert at_2 == 1.0
    assert at_3 < 0.9


def test_default_dims(lookup, animals, model, bert_tokenizer):
    assert evaluate(lookup, animals, bm25=False).dims == [48, 32]
    assert evaluate(model, animals, bm25=False).dims == [64, 32]
    trained = build_model(SSE(bert_tokenizer, 40, matryoshka_dims=[40, 20, 10]))
    assert evaluate(trained, animals, bm25=False).dims == [40, 20, 10]


@pytest.mark.parametrize("dims", [[49], [48, 0], [-1], [True], [12.0], []])
def test_dims_that_do_not_fit_are_refused(lookup, animals, dims):
    with pytest.raises(SseError, match=r"^dims: "):
        evaluate(lookup, animals, dims)


def test_sets_are_grouped_by_what_the_model_was_trained_on(bert_tokenizer, animals):
    other = Suite("nq-dev", animals.queries, animals.corpus, animals.qrels)
    model = build_model(SSE(bert_tokenizer, 16, training={"trained_on": ["nq"]}))
    report = evaluate(model, [animals, other])
    assert (report.group("in_domain"), report.group("zero_shot")) == (["nq-dev"], ["animals"])
    assert report.trained_on == ("nq",)
    assert evaluate(model, [animals, other], in_domain="animals").group("in_domain") == ["animals"]
    assert evaluate(model, [animals, other], in_domain=[]).group("in_domain") == []
    assert np.isnan(evaluate(model, [other]).mean(16, group="zero_shot"))


def test_identical_ids_can_be_skipped():
    suite = Suite("same", {"1": "red fox"}, {"1": "red fox", "2": "fox", "3": "whale"}, {"1": {"2": 1}})
    vectors = {"red fox": np.array([1.0, 1]), "fox": np.array([1.0, 0.9]), "whale": np.array([-1.0, 0])}
    plain, skipping = (evaluate(Lookup(vectors), suite, skip_identical_ids=skip) for skip in (False, True))
    for column in (2, "bm25"):
        assert plain.mean(column, "accuracy@1") == 0
        assert skipping.mean(column, "accuracy@1") == 1
    assert skipping.skip_identical_ids


def test_a_vector_that_is_not_finite_is_named(lookup, animals):
    lookup.vectors["red wine"][3] = np.nan
    with pytest.raises(SseError, match="animals: the vector of document 'd3' is not finite"):
        evaluate(lookup, animals)


def test_a_directory_is_loaded_and_named(model, animals, tmp_path):
    from sse.modeling import write_model

    write_model(model, tmp_path / "my-model")
    report = evaluate(tmp_path / "my-model", animals, bm25=False)
    assert report.model == "my-model"
    assert report.sets == evaluate(model, animals, bm25=False).sets
    with pytest.raises(SseError, match="there is no such directory"):
        evaluate("./no-model", animals)
