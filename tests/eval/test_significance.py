"""The paired bootstrap: nothing where there is nothing, something where there is, and the same both ways."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from sse.errors import SseError
from sse.eval import EvalReport, compare, compare_with_bm25
from sse.eval.results import Scores, SetResult


def scores(values):
    per_query = {f"q{number}": float(value) for number, value in enumerate(values)}
    return Scores({"ndcg@10": float(np.mean(values))}, per_query)


def report(name="m", bm25=None, docs=100, **sets):
    baseline = None if bm25 is None else scores(bm25)
    return EvalReport(
        name,
        {
            key: SetResult(len(values), docs, False, {8: scores(values), 4: scores(values / 2)}, baseline)
            for key, values in sets.items()
        },
    )


@pytest.fixture
def values():
    return np.random.default_rng(0).random(200)


def test_the_same_results_do_not_differ(values):
    result = compare(report(s=values, t=values[:50]), report(s=values, t=values[:50]))
    for row in (*result.sets, result.mean):
        assert (row.difference, row.low, row.high, row.p) == (0, 0, 0, 1)


def test_a_small_steady_shift_is_found_and_noise_is_not(values):
    rng = np.random.default_rng(1)
    shifted = report(s=values + 0.02 + rng.normal(0, 0.05, 200))
    noisy = report(s=values + rng.permutation(np.repeat([-0.1, 0.1], 100)))
    found = compare(shifted, report(s=values)).sets[0]
    assert found.low > 0
    assert found.p < 0.001
    nothing = compare(noisy, report(s=values)).sets[0]
    assert nothing.low < 0 < nothing.high
    assert nothing.p > 0.5


def test_the_interval_is_that_of_the_mean(values):
    rng = np.random.default_rng(2)
    differences = rng.normal(0.1, 0.3, 200)
    row = compare(report(s=values + differences), report(s=values)).sets[0]
    half = 1.96 * differences.std() / math.sqrt(200)
    assert (row.low, row.high) == pytest.approx(
        (row.difference - half, row.difference + half), abs=0.1 * half
    )


def test_the_mean_over_sets_weighs_sets_equally_and_is_surer_than_each(values):
    a = report(big=values + np.tile([0.3, -0.1], 100), small=values[:20] + np.tile([0.3, -0.1], 10))
    result = compare(a, report(big=values, small=values[:20]))
    assert result.mean.difference == pytest.approx(0.1)
    widths = [row.high - row.low for row in (*result.sets, result.mean)]
    assert widths[2] == pytest.approx(math.hypot(widths[0], widths[1]) / 2, rel=0.1)


def test_swapping_the_sides_turns_the_signs(values):
    rng = np.random.default_rng(3)
    a, b = report("a", s=values), report("b", s=values + rng.normal(0.01, 0.1, 200))
    there, back = compare(a, b), compare(b, a)
    for one, other in zip((*there.sets, there.mean), (*back.sets, back.mean), strict=True):
        assert (one.difference, one.low, one.high) == pytest.approx(
            (-other.difference, -other.high, -other.low)
        )
        assert one.p == other.p
    assert compare(a, b) == there


def test_only_common_sets_and_queries_count(values):
    a, b = report("a", s=values, t=values), report("b", s=values[:150], u=values)
    result = compare(a, b)
    assert [row.name for row in result.sets] == ["s"]
    assert (result.only_a, result.only_b, result.left_out) == (("t",), ("u",), {"s": 50})
    assert (result.sets[0].queries, result.sets[0].difference) == (150, 0)
    table = result.table()
    for line in ("only A has them: t", "only B has them: u", "50 queries that only one side has"):
        assert line in table
    alone = compare(report("a", s=values), report("b", s=values[:150]))
    assert alone.sets == result.sets, "a set's figures do not depend on the other sets"


def test_dims_and_the_baseline(values):
    one = report("m", bm25=values * 0.9, s=values)
    assert compare(one, one, 4, 8).mean.difference == pytest.approx(-values.mean() / 2)
    result = compare_with_bm25(one)
    assert (result.label_a, result.label_b) == ("m, 8 dims", "BM25 (m)")
    assert result.mean.difference == pytest.approx(0.1 * values.mean())
    assert compare_with_bm25(one, 4).mean.difference < 0


def test_what_cannot_be_compared_is_refused(values, tmp_path):
    one = report(s=values)
    with pytest.raises(SseError, match=r"no set is in both results \(s; t\)"):
        compare(one, report(t=values))
    with pytest.raises(SseError, match="s: not the same set, 100 documents and 99"):
        compare(one, report(s=values, docs=99))
    with pytest.raises(SseError, match="dim 5 was not measured"):
        compare(one, one, 5)
    with pytest.raises(SseError, match="BM25 was not measured"):
        compare_with_bm25(one)
    with pytest.raises(SseError, match="from grades"):
        compare(one, replace(one, graded=False))
    with pytest.raises(SseError, match="cannot be read"):
        compare(one, tmp_path)
    with pytest.raises(SseError, match="resamples: 10 is too few"):
        compare(one, one, resamples=10)


def test_saved_reports_are_compared_by_path(animals, model, tmp_path):
    from sse.eval import evaluate

    evaluate(model, animals).save(tmp_path / "a")
    result = compare(tmp_path / "a", str(tmp_path / "a" / "results.json"), 64, 32)
    assert "64 dims" in result.label_a
    assert result.mean.queries == 2
    content = json.loads(json.dumps(result.to_dict()))
    assert content["mean"]["p"] == result.mean.p
    assert content["sets"][0]["name"] == "animals"
