"""What a model says of its training: no paths, the settings that matter, the command that made it."""

from hashlib import sha256

import pytest

from sse.training import Recipe, train
from sse.training.facts import command_of


def test_the_facts_name_what_was_changed_and_the_data(recipe_file, tmp_path):
    settings = ["model.count_exponent=0.5", "loss.lexical_weight=0.25", "train.max_steps=2", "train.seed=5"]
    settings.append("train.start_share=0.25")
    result = train(Recipe.load(recipe_file, settings), tmp_path / "model", show_progress=False)
    facts = result.model[0].training_facts
    assert facts["loss"]["lexical_weight"] == 0.25
    assert facts["model"]["count_exponent"] == 0.5
    assert (facts["seed"], facts["steps"], facts["rows"]) == (5, 2, 256)
    assert facts["start_share"] == 0.25
    assert facts["vocabulary"] == "wordpiece"
    assert "moving_average" not in facts
    data = (tmp_path / "pairs.jsonl").read_bytes()
    assert facts["sources"][0]["sha256"] == sha256(data).hexdigest()
    assert "command" not in facts  # it is no recipe of the package
    assert "rows_contaminated" not in facts
    assert str(tmp_path) not in str(facts)


@pytest.mark.parametrize("written", ["{folder}/first", "./first", "runs/first"])
def test_the_model_that_it_starts_from_is_told_by_its_weights(recipe_file, tmp_path, monkeypatch, written):
    """However its directory is written: a card takes OWNER/NAME for a Hub id."""
    folder = tmp_path / "runs" if written.startswith("runs") else tmp_path
    first, second = folder / "first", tmp_path / "second"
    monkeypatch.chdir(tmp_path)
    train(Recipe.load(recipe_file, ["train.max_steps=1"]), first, show_progress=False)
    settings = ["train.max_steps=1", "start.kind=model", f"start.model={written.format(folder=folder)}"]
    facts = train(Recipe.load(recipe_file, settings), second, show_progress=False).model[0].training_facts
    digest = sha256((first / "model.safetensors").read_bytes()).hexdigest()
    assert facts["start"] == {"kind": "model", "model": "first", "sha256": digest}


def test_a_training_takes_out_what_its_evaluation_has(recipe_file, tmp_path, beir_folder):
    corpus = beir_folder / "corpus.jsonl"
    corpus.write_text("".join(corpus.read_text().splitlines(keepends=True)[:50]))
    settings = [f'evaluation.decontaminate=["{beir_folder}"]', "train.max_steps=1"]
    result = train(Recipe.load(recipe_file, settings), tmp_path / "model", show_progress=False)
    facts = result.model[0].training_facts
    assert facts["rows_contaminated"] == 50
    assert facts["rows"] == result.rows == 256 - facts["rows_contaminated"]


def test_the_command_repeats_the_settings_but_no_path(tmp_path):
    recipe = Recipe.load(
        "quickstart",
        [f"data={tmp_path}", "start.kind=transformer", f"start.model={tmp_path}/minilm", "train.seed=9"],
        check_files=False,
    )
    assert command_of(recipe) == (
        "sse train quickstart -o MODEL --set data=DATA --set start.kind=transformer --set start.model=minilm "
        "--set train.seed=9"
    )
    assert command_of(Recipe.load("sse-en-v2")) == "sse train sse-en-v2 -o MODEL"
