"""Every setting of a recipe reaches the training; averages of weights; sources without in-batch negatives."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.nn import functional

from sse.cli import main
from sse.errors import SseError
from sse.eval.sts import read_scored_pairs, spearman
from sse.modeling import SSE, build_model, load_model, write_model
from sse.training import Recipe, train
from sse.training.loss.bag_of_words import BagOfWordsLoss
from sse.training.loss.scored_pairs import OwnNegativesLoss
from sse.training.weights.averaging import MovingAverage, soup

WEIGHTS = "model.safetensors"


@pytest.mark.parametrize(
    "setting",
    [
        "loss.lexical_weight=0.5",
        "loss.focal_gamma=1.0",
        "loss.learn_scale=true",
        "loss.mixed_negatives=true",
        "loss.words_weight=0.5",
        "model.dyt=shared",
        "model.dyt=linear",
        "model.alpha_init=data",
        "start.kind=idf",
        "crops={share=0.1, anchor_words=[3, 4], positive_words=[3, 4]}",
        "train.moving_average=0.9",
        "train.start_share=0.2",
        "train.level_rows=0.01",
        "train.group_size=16",
    ],
)
def test_every_lever_changes_the_training_and_the_model_still_learns(recipe_file, tmp_path, setting):
    plain = train(Recipe.load(recipe_file), tmp_path / "plain", show_progress=False)
    other = train(Recipe.load(recipe_file, [setting]), tmp_path / "other", show_progress=False)
    assert not np.array_equal(
        load_file(plain.directory / WEIGHTS)["embedding.weight"],
        load_file(other.directory / WEIGHTS)["embedding.weight"],
    )
    losses = [entry["loss"] for entry in other.log if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    model = load_model(other.directory)
    assert np.isfinite(model.encode(["which mars is 3", ""])).all()


@pytest.mark.parametrize(
    "setting", ["train.moving_average=0.9", "loss.learn_scale=true", "loss.words_weight=0.1"]
)
def test_what_no_checkpoint_holds_is_not_resumed(recipe_file, tmp_path, setting):
    train(Recipe.load(recipe_file, [setting]), tmp_path / "model", show_progress=False)
    (tmp_path / "model" / "modules.json").unlink()
    with pytest.raises(SseError, match=rf"a training with {setting.split('=')[0]} cannot be resumed"):
        train(Recipe.load(recipe_file, [setting]), tmp_path / "model", resume=True, show_progress=False)


@pytest.mark.parametrize("setting", ["train.moving_average=0.9", "train.start_share=0.5"])
def test_the_best_checkpoint_and_an_average_exclude_each_other(recipe_file, beir_folder, setting):
    settings = [setting, f'evaluation.suites=["{beir_folder}"]']
    with pytest.raises(SseError, match=r"needs evaluation\.keep_best = false"):
        Recipe.load(recipe_file, settings)
    Recipe.load(recipe_file, [*settings, "evaluation.keep_best=false"])


def test_a_second_stage_starts_from_the_first(recipe_file, tmp_path):
    first = train(Recipe.load(recipe_file), tmp_path / "first", show_progress=False)
    settings = ["start.kind=model", f"start.model={tmp_path / 'first'}", "train.learning_rate=1e-9"]
    settings += [f"model.tokenizer={tmp_path / 'first'}", "train.max_steps=1"]
    second = train(Recipe.load(recipe_file, settings), tmp_path / "second", show_progress=False)
    for name, value in load_file(first.directory / WEIGHTS).items():
        np.testing.assert_allclose(load_file(second.directory / WEIGHTS)[name], value, atol=1e-6)


def test_scored_pairs_and_own_negatives_are_trained_without_the_batch(recipe_file, tmp_path):
    scored = "".join(f"{5 - n % 5}\tmars {n}\tvenus {n % 7}\n" for n in range(64))
    (tmp_path / "scored.tsv").write_text("score\tsentence1\tsentence2\n" + scored)
    triplets = [{"anchor": f"a {n}", "positive": f"b {n}", "negative": "c"} for n in range(64)]
    (tmp_path / "classes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in triplets))
    text = recipe_file.read_text().replace(
        "sources = [",
        "sources = [\n"
        '{ name = "scored", path = "scored.tsv", in_batch = false, '
        'columns = { anchor = "sentence1", positive = "sentence2", score = "score" } },\n'
        '{ name = "classes", path = "classes.jsonl", in_batch = false },',
    )
    recipe_file.write_text(text)
    result = train(Recipe.load(recipe_file), tmp_path / "model", show_progress=False)
    assert result.rows == 256 + 64 + 64
    found = spearman(result.model, tmp_path / "scored.tsv", [16, 8])
    assert sorted(found) == [8, 16]
    assert all(-1 <= value <= 1 for value in found.values())
    recipe_file.write_text(text.replace("classes.jsonl", "pairs.jsonl"))
    with pytest.raises(SseError, match="source 'classes': in_batch = false needs a score or negatives"):
        train(Recipe.load(recipe_file), tmp_path / "other", show_progress=False)


@pytest.mark.parametrize("bad", ["sentence1\tsentence2\na\tb\n", "score\tsentence1\tsentence2\nhigh\ta\tb\n"])
def test_a_bad_row_of_scores_is_named(tmp_path, bad):
    (tmp_path / "bad.tsv").write_text(bad)
    with pytest.raises(SseError, match=r"bad\.tsv: row 1 has not the columns"):
        read_scored_pairs(tmp_path / "bad.tsv")


def test_own_negatives_are_the_only_ones():
    torch.manual_seed(0)
    columns = [torch.randn(4, 6) for _ in range(3)]
    loss = OwnNegativesLoss(lambda features: features, [6, 3], [1.0, 2.0], 10.0)
    got = loss([{"sentence_embedding": column} for column in columns])
    expected = 0.0
    for dim, weight in ((6, 1.0), (3, 2.0)):
        a, p, n = (functional.normalize(column[:, :dim]) for column in columns)
        good, bad = 10 * (a * p).sum(1), 10 * (a * n).sum(1)
        expected += weight * (torch.logaddexp(good, bad) - good).mean()
    torch.testing.assert_close(got, expected)


def test_words_are_found_from_the_vector_by_their_idf():
    torch.manual_seed(0)
    loss = BagOfWordsLoss(torch.tensor([1.0, 2.0, 4.0]), 3)
    with torch.no_grad():
        loss.decoder.copy_(torch.randn(3, 3))
    features = {"input_ids": torch.tensor([0, 2, 2, 1]), "offsets": torch.tensor([0, 3, 4])}
    vectors = torch.randn(3, 3)
    got = loss(vectors, features)
    logs = (functional.normalize(vectors) @ loss.decoder.T).log_softmax(dim=1)
    first = -(logs[0, 0] * 1 + logs[0, 2] * 4) / 5  # a word that comes twice counts once
    second = -logs[1, 1]
    torch.testing.assert_close(got, (first + second) / 2)


def test_a_moving_average_is_what_it_says():
    model = torch.nn.Linear(1, 1, bias=False)
    average, state = MovingAverage(0.5), type("State", (), {"global_step": 0})()
    values = [1.0, 3.0, 7.0]
    for value in values:
        state.global_step += 1
        with torch.no_grad():
            model.weight.fill_(value)
        average.on_step_end(None, state, None, model=model)
    expected = values[0]
    for step, value in enumerate(values[1:], 2):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average.on_train_end(None, state, None, model=model)
    assert model.weight.item() == pytest.approx(expected)


def test_the_start_has_its_share_in_the_end_also_after_resuming(recipe_file, tmp_path):
    def weights(name, *settings, **options):
        options = {"show_progress": False, **options}
        made = train(Recipe.load(recipe_file, ["start.kind=idf", *settings]), tmp_path / name, **options)
        return load_file(made.directory / WEIGHTS)

    start = weights("start", "train.max_steps=1", "train.learning_rate=1e-12")
    trained = weights("trained")
    blended = weights("blended", "train.start_share=0.25")
    (tmp_path / "blended" / "modules.json").unlink()
    resumed = weights("blended", "train.start_share=0.25", resume=True)
    for name, value in trained.items():
        np.testing.assert_allclose(blended[name], 0.25 * start[name] + 0.75 * value, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(resumed[name], blended[name])
        assert np.abs(blended[name] - value).max() > 0.01


def test_trainings_with_other_seeds_can_share_a_start(recipe_file, tmp_path):
    settings = ["start.kind=idf", "start.seed=3", "train.max_steps=1", "train.learning_rate=1e-12"]
    rows = [
        train(Recipe.load(recipe_file, [*settings, *more]), tmp_path / name, show_progress=False)
        .model[0]
        .embedding.weight
        for name, more in (("a", ["train.seed=1"]), ("b", ["train.seed=2"]), ("c", ["start.seed=4"]))
    ]
    torch.testing.assert_close(rows[0], rows[1], atol=1e-6, rtol=0)
    assert not torch.allclose(rows[0], rows[2], atol=0.1)


def test_a_soup_is_the_mean_and_refuses_what_does_not_fit(tmp_path, bert_tokenizer):
    for seed in (1, 2):
        torch.manual_seed(seed)
        write_model(build_model(SSE(bert_tokenizer, 8, alpha_init=seed)), tmp_path / str(seed))
    mixed = soup([tmp_path / "1", tmp_path / "2"])
    one, other = (load_model(tmp_path / name)[0] for name in "12")
    torch.testing.assert_close(mixed[0].embedding.weight, (one.embedding.weight + other.embedding.weight) / 2)
    assert mixed[0].dyt.alpha.tolist() == [1.5] * 8
    write_model(build_model(SSE(bert_tokenizer, 4)), tmp_path / "small")
    with pytest.raises(SseError, match="has not the shape of"):
        soup([tmp_path / "1", tmp_path / "small"])
    with pytest.raises(SseError, match="two models at least"):
        soup([tmp_path / "1"])


def test_the_commands_soup_and_sts(tmp_path, bert_tokenizer, monkeypatch, capsys):
    for seed in (1, 2):
        torch.manual_seed(seed)
        write_model(build_model(SSE(bert_tokenizer, 8)), tmp_path / str(seed))
    pairs = "".join(f"{n}\t{'mars ' * n}venus\tvenus\n" for n in range(1, 6))
    (tmp_path / "pairs.tsv").write_text("score\tsentence1\tsentence2\n" + pairs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["sse", "soup", "1", "2", "-o", "mixed"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    monkeypatch.setattr("sys.argv", ["sse", "sts", "mixed", "pairs.tsv", "--dims", "8,4", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out.split("models\n")[1])
    assert found["8"] == pytest.approx(-1)  # the more of another planet, the farther
    monkeypatch.setattr("sys.argv", ["sse", "soup", "1", "2", "-o", "mixed"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "mixed: is there already" in capsys.readouterr().err
