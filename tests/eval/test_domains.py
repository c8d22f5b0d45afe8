import pytest

from sse.eval.domains import is_in_domain, plain_name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("NanoHotpotQA", "hotpotqa"),
        ("hotpotqa-dev-sub", "hotpotqa"),
        ("scifact-train", "scifact"),
        ("limit-small", "limit"),
        ("NanoFiQA2018", "fiqa"),
        ("climate-fever", "climatefever"),
        ("trec-covid", "treccovid"),
        ("developer-questions", "developerquestions"),
    ],
)
def test_plain_names(name, plain):
    assert plain_name(name) == plain


def test_in_domain_by_name():
    trained_on = ["nq", "hotpotqa", "quora", "fever", ""]
    known = ["NanoNQ", "nq", "hotpotqa-dev-sub", "NanoQuoraRetrieval", "NanoFEVER"]
    unknown = ["NanoClimateFEVER", "nfcorpus", "scifact", "NanoTouche2020"]
    assert [name for name in known + unknown if is_in_domain(name, trained_on)] == known
    assert is_in_domain("fiqa", ["NanoFiQA2018"])
