"""The report as an object, as results.json, as Markdown and as pictures."""

import json
import os

import numpy as np
import pytest

from sse.errors import SseError
from sse.eval import EvalReport, Suite, evaluate
from sse.eval.metrics import METRICS
from tests.eval.helpers import Lookup


@pytest.fixture
def report(animals):
    rng = np.random.default_rng(0)
    lookup = Lookup(
        {text: rng.standard_normal(32) for text in [*animals.queries.values(), *animals.corpus.values()]}
    )
    other = Suite("nq", animals.queries, animals.corpus, {"q2": {"d1": 1}, "q3": {"d2": 3, "d4": 1}})
    return evaluate(lookup, [animals, other], [32, 8], in_domain=["nq"], name="a|b $x$ _model")


def test_results_json_keeps_its_contract(report, tmp_path):
    report.save(tmp_path / "out")
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert content == report.to_dict()
    assert (content["schema"], content["model"], content["graded"]) == (1, "a|b $x$ _model", True)
    one = content["sets"]["animals"]
    assert (one["queries"], one["docs"], one["in_domain"]) == (2, 4, False)
    assert list(one["dims"]) == ["32", "8"]
    assert tuple(one["dims"]["8"]) == METRICS
    assert list(one["per_query"]["8"]) == ["q1", "q2"]
    assert np.mean(list(one["per_query"]["8"].values())) == pytest.approx(one["dims"]["8"]["ndcg@10"])
    both = [content["sets"][name]["dims"]["32"]["map@100"] for name in ("animals", "nq")]
    assert content["mean"]["32"]["map@100"] == pytest.approx(np.mean(both))
    assert content["mean_in_domain"]["32"]["map@100"] == both[1]
    bm25 = content["baselines"]["bm25"]
    assert bm25["parameters"]["k1"] == 0.9
    assert list(bm25["sets"]["nq"]) == [*METRICS, "per_query"]
    assert set(content["environment"]) == {"versions", "python", "platform", "threads"}
    assert os.uname().nodename not in json.dumps(content["environment"]) or len(os.uname().nodename) < 4


def test_a_saved_report_comes_back_equal(report, tmp_path):
    report.save(tmp_path)
    assert EvalReport.load(tmp_path) == report
    assert EvalReport.load(tmp_path / "results.json") == report


def test_without_baseline(animals, tmp_path):
    vectors = {text: np.ones(4) for text in [*animals.queries.values(), *animals.corpus.values()]}
    report = evaluate(Lookup(vectors), animals, bm25=False)
    report.save(tmp_path)
    assert EvalReport.load(tmp_path) == report
    assert "BM25" not in (tmp_path / "report.md").read_text()
    with pytest.raises(SseError, match=r"BM25 was not measured \(measured dims: 4\)"):
        report.mean("bm25")


def test_means_and_unknown_names(report):
    first, second = (report.sets[name].dims[8].metrics["mrr@10"] for name in ("animals", "nq"))
    assert report.mean(8, "mrr@10") == pytest.approx((first + second) / 2)
    assert report.mean(8, "mrr@10", "zero_shot") == first
    with pytest.raises(SseError, match=r"dim 9 was not measured \(measured dims: 32, 8\)"):
        report.mean(9)
    with pytest.raises(SseError, match="ndcg@3 was not measured"):
        report.table("ndcg@3")


def test_the_table(report):
    lines = report.table().splitlines()
    assert lines[0] == "| set | queries | docs | trained on | 32 | 8 | BM25 |"
    assert lines[2].startswith("| animals | 2 | 4 | no | ")
    assert lines[3].startswith("| nq | 2 | 4 | yes | ")
    assert [line.split("|")[1].strip() for line in lines[4:]] == [
        "**mean**",
        "**mean, trained on**",
        "**mean, zero-shot**",
    ]
    assert f"**{report.mean('bm25'):.4f}**" in lines[4]


def test_the_pictures_are_whole_pngs(report, tmp_path):
    from PIL import Image

    report.save(tmp_path)
    for name in ("sets.png", "matryoshka.png"):
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.format == "PNG"
            assert min(image.size) > 300
            assert len(image.convert("RGB").getcolors(1 << 24)) > 3, "nothing is drawn"
        assert f"]({name})" in (tmp_path / "report.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "matryoshka.png",
        "report.md",
        "results.json",
        "sets.png",
    ]


def change(content, *path, value):
    for key in path[:-1]:
        content = content[key]
    if value is KeyError:
        del content[path[-1]]
    else:
        content[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], 2, "the schema is 2, and only 1 can be read"),
        (["schema"], KeyError, "the schema is None"),
        (["model"], KeyError, "the key 'model' is missing"),
        (["sets"], {}, "one set at least"),
        (["sets"], [1], "not what schema 1 says"),
        (["sets", "nq", "docs"], -1, "-1 is not a count"),
        (["sets", "nq", "per_query"], KeyError, "the key 'per_query' is missing"),
        (["sets", "nq", "per_query", "8"], {}, "nq, dim 8: 0 queries instead of 2"),
        (["sets", "nq", "dims", "8", "mrr@10"], "high", "nq, dim 8, mrr@10: 'high' is not a number"),
        (["sets", "nq", "dims", "8", "mrr@10"], float("nan"), "nq, dim 8, mrr@10: nan is not a number"),
        (["sets", "nq", "dims", "8"], KeyError, "the same dims and metrics for every set"),
        (["baselines", "bm25", "sets", "nq", "per_query"], KeyError, "the key 'per_query' is missing"),
    ],
)
def test_a_file_that_lies_is_refused(report, tmp_path, path, value, message):
    file = tmp_path / "results.json"
    content = json.loads(json.dumps(report.to_dict()))
    change(content, *path, value=value)
    file.write_text(json.dumps(content))
    with pytest.raises(SseError, match=message) as caught:
        EvalReport.load(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_what_is_no_report_is_refused(tmp_path):
    with pytest.raises(SseError, match=r"results\.json: cannot be read: No such file"):
        EvalReport.load(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(SseError, match=r"results\.json: not valid JSON"):
        EvalReport.load(tmp_path)
    (tmp_path / "results.json").write_bytes(b"\xff")
    with pytest.raises(SseError, match=r"results\.json: not valid JSON"):
        EvalReport.load(tmp_path)
    (tmp_path / "results.json").write_text("[]")
    with pytest.raises(SseError, match="the schema is None"):
        EvalReport.load(tmp_path)
