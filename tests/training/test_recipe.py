"""Recipes: what is shipped loads, what is wrong is named."""

import re
from importlib import resources

import pytest

from sse.errors import SseError
from sse.training import Recipe
from tests.training.conftest import RECIPE


def test_shipped_recipes():
    assert Recipe.shipped() == ["quickstart", "shared-en", "sse-en-small", "sse-en-v1", "sse-en-v2"]
    assert Recipe.load("sse-en").name == "sse-en-v2"


@pytest.mark.parametrize(("name", "batch", "accumulation"), [("sse-en-v1", 512, 8), ("sse-en-v2", 2048, 4)])
def test_published_hyperparameters(name, batch, accumulation):
    recipe = Recipe.load(name)
    train = recipe.train
    assert (train.batch_size, train.gradient_accumulation) == (batch, accumulation)
    assert (train.learning_rate, train.beta2, train.eps) == (0.1, 0.9999, 1e-10)
    assert (train.scheduler, train.warmup, train.epochs, train.bf16) == ("cosine", 0.1, 1, True)
    assert train.sampler == "no_duplicates"
    assert (recipe.model.dim, recipe.loss.dims, recipe.loss.scale) == (512, (512, 256, 128, 64, 32), 20)
    assert len(recipe.sources) == 14
    assert {"hotpotqa", "nq", "msmarco", "scidocs"} <= set(recipe.trained_on)


@pytest.fixture
def shared_en(tmp_path):
    """A directory with files of the names that the recipe has."""
    text = (resources.files("sse.training") / "recipes" / "shared-en.toml").read_text()
    for name in re.findall(r"\{data\}/(\w+\.parquet)", text):
        (tmp_path / name).touch()
    return tmp_path


def test_shared_recipe_names_its_licences(shared_en):
    recipe = Recipe.load("shared-en", [f"data={shared_en}"])
    assert len(recipe.sources) == 35
    assert all(source.license for source in recipe.sources)
    assert "trivia_wikipedia" not in {source.name for source in recipe.sources}


def test_paths_start_at_the_recipe(recipe, tmp_path):
    assert recipe.sources[0].path == str(tmp_path / "pairs.jsonl")
    assert recipe.trained_on == ["nq"]


def test_overrides(recipe_file):
    recipe = Recipe.load(
        recipe_file,
        ["train.seed=3", "loss.dims=[8]", "sources.numbers.limit=10", "model.tokenizer=some/name"],
    )
    assert (recipe.train.seed, recipe.loss.dims, recipe.sources[0].limit) == (3, (8,), 10)
    assert recipe.model.tokenizer == "some/name"


def test_one_override_for_all_sources(shared_en):
    recipe = Recipe.load(
        "shared-en", [f"data={shared_en}", "sources.*.weight=0.5", "sources.openstax.weight=0"]
    )
    weights = {source.name: source.weight for source in recipe.sources}
    assert weights.pop("openstax") == 0
    assert set(weights.values()) == {0.5}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.sede=3", r"small\.toml: unknown key 'train\.sede'"),
        ("trian.seed=3", "unknown key 'trian'"),
        ("train.batch_size=many", r"train\.batch_size = 'many'"),
        ("train.batch_size=1", "greater than or equal to 2"),
        ("train.learning_rate=-1", r"train\.learning_rate = -1"),
        ("train.scheduler=triangle", r"train\.scheduler = 'triangle'"),
        ("loss.dims=[32]", r"loss\.dims has 32, but model\.dim is 16"),
        ("loss.weights=[1]", "as many as dims"),
        ("sources.numbers.hub=a/b", "give either hub or path"),
        ("sources.letters.limit=1", "no source named 'letters'"),
        ("sources.numbers.path=nothing.jsonl", r"source 'numbers': there is no file .*nothing\.jsonl"),
        ("sources.numbers.path=pairs.xlsx", "is not one of"),
        ("sources.numbers.weight=0", "no source with a weight above 0"),
        ("sources.numbers.columns={anchor='a'}", r"'sources\.numbers\.columns\.positive' is missing"),
        (
            "sources.numbers.columns={anchor='a', positive='b', nagative='c'}",
            r"unknown key 'sources\.numbers\.columns\.nagative'",
        ),
        ("sources.numbers.streaming=true", "streaming needs hub and limit"),
        ("train.seed", "key=value"),
        ("name.first=1", "has no keys of its own"),
    ],
)
def test_mistakes_are_named_in_one_sentence(recipe_file, override, message):
    with pytest.raises(SseError, match=message) as caught:
        Recipe.load(recipe_file, [override])
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(SseError, match="no such recipe file"):
        Recipe.load("nothing")
    with pytest.raises(SseError, match=r"nothing\.toml"):
        Recipe.load(tmp_path / "nothing.toml")
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(SseError, match=r"broken\.toml: Invalid value"):
        Recipe.load(tmp_path / "broken.toml")
    (tmp_path / "twice.toml").write_text(
        RECIPE.replace("sources = [", 'sources = [{ name = "numbers", hub = "a/b" },')
    )
    with pytest.raises(SseError, match="two sources are named 'numbers'"):
        Recipe.load(tmp_path / "twice.toml")
    (tmp_path / "none.toml").write_text('name = "x"')
    with pytest.raises(SseError, match="'sources' is missing"):
        Recipe.load(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["shared-en", "quickstart"])
def test_recipes_over_a_directory_ask_for_it(name):
    with pytest.raises(SseError, match="--set data=DIRECTORY"):
        Recipe.load(name)
