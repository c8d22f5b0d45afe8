import pytest

from sse.eval import Suite, load_suites
from tests.eval.helpers import write_nanobeir


@pytest.fixture(scope="session")
def nanobeir_mirror(tmp_path_factory: pytest.TempPathFactory):
    """A mirror of the 13 sets; what datasets caches of it goes to a temporary directory too."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield write_nanobeir(tmp_path_factory.mktemp("mirror"))


@pytest.fixture(scope="session")
def nanobeir(nanobeir_mirror) -> list[Suite]:
    return load_suites(f"nanobeir:{nanobeir_mirror}")


@pytest.fixture
def animals() -> Suite:
    """Three queries; the third has no relevant document."""
    return Suite(
        "animals",
        queries={"q1": "red fox", "q2": "blue whale", "q3": "green frog"},
        corpus={"d1": "the red fox", "d2": "a blue whale swims", "d3": "red wine", "d4": ""},
        qrels={"q1": {"d1": 2, "d3": 1}, "q2": {"d2": 1}, "q3": {"d1": 0}},
    )
