"""The published model on NanoBEIR, both from the Hub, gives the published mean."""

import pytest

from sse.eval import evaluate
from sse.modeling import load_model


@pytest.mark.hub
@pytest.mark.slow
@pytest.mark.parametrize(
    ("repository", "revision", "published"),
    [
        (
            "RikkaBotan/stable-static-embedding-fast-retrieval-mrl-en",
            "176cf7f95971893536afabb72ed1a9dc491e23df",
            0.5124,
        ),
        (
            "RikkaBotan/stable-static-embedding-fast-retrieval-mrl-en-v2",
            "627f9d1a07a4e50a206a21868cf49854f7188a6d",
            0.5158,
        ),
    ],
)
def test_published_means(repository, revision, published):
    report = evaluate(load_model(repository, revision=revision), ["nanobeir"], dims=[512], bm25=False)
    assert len(report.sets) == 13
    assert report.mean(512) == pytest.approx(published, abs=0.002)
