"""The model card: made of the files of a model alone, true to them, and accepted as a Hub card."""

import hashlib
import json
import re
import sys

import pytest
import yaml
from huggingface_hub import ModelCard
from typer.main import get_command

from sse.cli import app, main
from sse.errors import SseError
from sse.export import export, render_card
from sse.shipped import DEFAULT
from tests.small_results import SETS, TRAINING, report


def change(directory, **training):
    """Change training facts of a model; None takes a key away."""
    file = directory / "config.json"
    config = json.loads(file.read_text())
    config["training"] = {k: v for k, v in {**config["training"], **training}.items() if v is not None}
    file.write_text(json.dumps(config))


def card_command(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["sse", "card", *map(str, args)])
    with pytest.raises(SystemExit) as left:
        main()
    written = capsys.readouterr()
    return left.value.code or 0, written.out, written.err


def test_figures_are_those_of_results_json(shipped):
    card = render_card(DEFAULT)
    assert "| set | 64 | 32 | BM25 | in-domain |" in card
    assert "| alpha | 0.5000 | 0.4000 | 0.4000 | yes |" in card
    assert "| gamma | 0.1000 | 0.0800 | 0.4000 | no |" in card
    assert "| **mean** | 0.3000 | 0.2400 | 0.4000 |" in card
    assert "| **mean, trained on** | 0.5000 | 0.4000 | 0.4000 |" in card
    assert "| **mean, zero-shot** | 0.2000 | 0.1600 | 0.4000 |" in card
    assert "| 64 | 0.3000 | 100.0 % | 256 |" in card
    assert "| 32 | 0.2400 | 80.0 % | 128 |" in card
    assert "at 64 dims the mean is 0.3000, of BM25 0.4000." in card


def test_training_facts_licences_and_checksums(shipped):
    card = render_card(DEFAULT)
    assert "1,234 pairs." in card
    assert "| [one](https://example.org/one) | 1,200 | CC BY 4.0 \\| CC0 |" in card
    assert "| owner/two | 34 | see the source |" in card
    assert "Recipe `stand-in`, seed 12, trained in 61 s. Made for a test.\n" in card
    assert f"```console\n{TRAINING['command']}\n```" in card
    assert "| loss.lexical.weight | 0.2 |" in card
    assert "| loss.dims | 64, 32 |" in card
    assert "| eps | 1e-10 |" in card
    assert f"| one | `{'ab' * 32}` |" in card
    assert "The weights: cc-by-sa-4.0." in card
    assert "| vocabulary | of `owner/words` |" in card
    assert "| rows start from | [owner/start](https://huggingface.co/owner/start) |" in card
    for name in ("model.safetensors", "tokenizer.json"):
        data = (shipped / name).read_bytes()
        assert f"| {name} | {len(data):,} | `{hashlib.sha256(data).hexdigest()}` |" in card
    assert f"| size | {(shipped / 'model.safetensors').stat().st_size / 1e6:.1f} MB, and" in card


def test_the_head_is_one_that_the_hub_takes(shipped):
    """What the Hub's own check asks for, without the network: types, a known licence, a whole model-index."""
    text = render_card(DEFAULT)
    head = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])
    assert head["language"] == "en"
    assert head["license"] == "cc-by-sa-4.0"
    assert head["datasets"] == ["owner/two"]
    assert head["base_model"] == "owner/start"
    assert head["pipeline_tag"] == "sentence-similarity"
    assert all(isinstance(tag, str) for tag in head["tags"])
    (entry,) = head["model-index"]
    assert entry["name"] == DEFAULT
    assert len(entry["results"]) == len(SETS) + 1
    for result in entry["results"]:
        assert result["task"]["type"] == "information-retrieval"
        assert re.fullmatch(r"[\w-]+", result["dataset"]["type"])
        assert isinstance(result["dataset"]["name"], str)
        for metric in result["metrics"]:
            assert isinstance(metric["value"], float)
            assert {"type", "name", "value"} <= set(metric)
    card = ModelCard(text)
    assert str(card) == text
    values = {(one.dataset_name, one.metric_type): one.metric_value for one in card.data.eval_results}
    assert values[("alpha", "ndcg@10")] == 0.5
    assert values[("mean of 3 sets", "mrr@10")] == 0.15


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"vocabulary": "wordpiece"}, "| vocabulary | WordPiece, made from the training texts |"),
        ({"vocabulary": None, "model": {"tokenizer": "owner/old"}}, "| vocabulary | of `owner/old` |"),
    ],
)
def test_where_the_vocabulary_is_from(shipped, facts, told):
    change(shipped, **facts)
    assert told in render_card(DEFAULT)


def test_a_start_from_a_directory_is_no_base_model(shipped):
    change(shipped, start={"kind": "transformer", "model": "a-directory"})
    card = render_card(DEFAULT)
    assert "base_model" not in card
    assert "rows start from" not in card


@pytest.mark.parametrize("key", sorted(TRAINING))
def test_any_training_fact_may_be_absent(shipped, key):
    change(shipped, **{key: None})
    card = render_card(DEFAULT)
    assert "Undefined" not in card
    assert "None" not in card
    if key == "command":
        assert "sse train" not in card
    if key == "sources":
        assert "## Training data" not in card


@pytest.mark.parametrize("key", ["name", "hub", "license", "url", "sha256"], ids="no-{}".format)
def test_any_fact_of_a_source_may_be_absent(shipped, key):
    sources = [{k: v for k, v in source.items() if k != key} for source in TRAINING["sources"]]
    if key == "name":
        sources = [{**source, "hub": "a/b"} for source in sources]
    change(shipped, sources=sources)
    card = render_card(DEFAULT)
    assert ("SHA-256 of the training data" in card) == (key != "sha256")


def test_a_model_without_training_facts_or_results_claims_nothing(shipped):
    change(shipped, **dict.fromkeys(TRAINING))
    (shipped / "results.json").unlink()
    card = render_card(DEFAULT)
    for title in ("Results", "Training data", "Recipe", "Licence"):
        assert f"## {title}" not in card
    assert "English only" not in card
    assert "nDCG" not in card
    assert "## Limits" in card
    assert ModelCard(card).data.eval_results is None


def test_dims_that_the_model_has_not_are_left_out(model, tmp_path):
    export(model, tmp_path / "narrow", dim=32, results=report().to_dict())
    card = (tmp_path / "narrow" / "README.md").read_text()
    assert "| set | 32 | BM25 |" in card
    assert "share kept" not in card
    export(model, tmp_path / "narrower", dim=16, results=report().to_dict())
    assert "## Results" not in (tmp_path / "narrower" / "README.md").read_text()


def test_results_without_the_scores_of_queries_do(shipped):
    whole = render_card(DEFAULT)
    results = json.loads((shipped / "results.json").read_text())
    for one in results["sets"].values():
        del one["per_query"]
    (shipped / "results.json").write_text(json.dumps(results))
    assert render_card(DEFAULT) == whole


def test_the_snippets_are_real(shipped, tmp_path, monkeypatch, capsys):
    """The runtime's snippet runs; the commands exist; the directory that is to be loaded is the one exported."""
    card = render_card(DEFAULT)
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(snippets) == 2
    exec(compile(snippets[0], "card", "exec"), {})
    assert "[[" in capsys.readouterr().out
    assert "Encoder.from_pretrained()" in snippets[0]
    assert 'SentenceTransformer("my-model", trust_remote_code=True)' in snippets[1]
    assert f"sse export {DEFAULT} my-model" in card
    commands = get_command(app).commands
    used = set(
        re.findall(r"^sse ([a-z]+)", "\n".join(re.findall(r"```console\n(.*?)```", card, re.DOTALL)), re.M)
    )
    assert {"search", "encode"} <= used <= set(commands)


def test_an_exported_card_is_the_card_of_its_directory(model, tmp_path):
    export(model, tmp_path / "m", table="int4", results=report().to_dict())
    card = (tmp_path / "m" / "README.md").read_text()
    assert card == render_card(tmp_path / "m")
    assert "int4, one scale for 32 columns of a row" in card
    assert 'Encoder.from_pretrained("m")' in card
    assert "sse search m notes.txt" in card


def test_other_models_stand_beside(shipped, tmp_path, monkeypatch, capsys):
    for factor, label, sets in ((0.9, "theirs", tuple(SETS)), (0.5, "part", ("alpha", "beta"))):
        (tmp_path / f"{label}.json").write_text(json.dumps(report(factor, name=label, sets=sets).to_dict()))
    code, out, error = card_command(
        monkeypatch,
        capsys,
        DEFAULT,
        "--beside",
        f"Theirs={tmp_path / 'theirs.json'}",
        "--beside",
        f"Part={tmp_path / 'part.json'}",
    )
    assert code == 0, error
    assert "| set | 64 | 32 | BM25 | Theirs (64) | Part (64) | in-domain |" in out
    assert "| alpha | 0.5000 | 0.4000 | 0.4000 | 0.4500 | 0.2500 | yes |" in out
    assert "| gamma | 0.1000 | 0.0800 | 0.4000 | 0.0900 | - | no |" in out
    assert (
        "| **mean** | 0.3000 | 0.2400 | 0.4000 | 0.2700 | - |" in out
    )  # means of other sets are not comparable
    assert render_card(DEFAULT) == out  # it was kept
    kept = json.loads((shipped / "beside.json").read_text())
    assert kept["Theirs"]["dims"] == 64
    exported = export(DEFAULT, tmp_path / "out").directory
    assert "Theirs (64)" in (exported / "README.md").read_text()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"docs": 4}, "was measured on 4 docs of alpha, the model on 3"),
        ({"graded": False}, "was measured with another graded"),
    ],
)
def test_what_was_measured_in_another_way_does_not_stand_beside(
    shipped, tmp_path, monkeypatch, capsys, other, message
):
    (tmp_path / "other.json").write_text(json.dumps(report(**other).to_dict()))
    code, _, error = card_command(
        monkeypatch, capsys, DEFAULT, "--beside", f"Other={tmp_path / 'other.json'}"
    )
    assert code == 2
    assert message in error
    assert not (shipped / "beside.json").exists()


def test_new_results_do_not_stand_beside_those_on_other_data(shipped, tmp_path, monkeypatch, capsys):
    (tmp_path / "other.json").write_text(json.dumps(report(0.9).to_dict()))
    assert card_command(monkeypatch, capsys, DEFAULT, "--beside", f"O={tmp_path / 'other.json'}")[0] == 0
    (shipped / "results.json").write_text(json.dumps(report(docs=5).to_dict()))
    with pytest.raises(SseError, match="O was measured on 3 docs of alpha, the model on 5"):
        render_card(DEFAULT)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"x": 1}', '{"x": {"dims": 8, "sets": {"a": {"ndcg@10": 7}}}}']
)
def test_a_broken_beside_json_is_named(shipped, content):
    (shipped / "beside.json").write_text(content)
    with pytest.raises(SseError, match=r"beside\.json"):
        render_card(DEFAULT)


def test_check_tells_a_card_that_is_not_the_model_s(shipped, tmp_path, monkeypatch, capsys):
    file = tmp_path / "card.md"
    assert card_command(monkeypatch, capsys, DEFAULT, "-o", file)[0] == 0
    assert file.read_text() == render_card(DEFAULT)
    assert card_command(monkeypatch, capsys, DEFAULT, "--check", file)[0] == 0
    results = json.loads((shipped / "results.json").read_text())
    results["sets"]["alpha"]["dims"]["64"]["ndcg@10"] = 0.51
    (shipped / "results.json").write_text(json.dumps(results))
    code, out, error = card_command(monkeypatch, capsys, DEFAULT, "--check", file)
    assert (code, out) == (1, "")
    assert (
        error == f"sse: {file}: is not the card of {DEFAULT}; write it again: sse card {DEFAULT} -o {file}\n"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothing"], "nothing: there is no such directory"),
        ([DEFAULT, "--check", "nothing.md"], "nothing.md: No such file or directory"),
        ([DEFAULT, "--check", "a.md", "-o", "b.md"], "--check writes nothing"),
        ([DEFAULT, "--beside", "x"], "write LABEL=PATH"),
        ([DEFAULT, "--beside", "x=nothing.json"], "nothing.json: cannot be read"),
    ],
)
def test_mistakes_are_one_sentence(shipped, tmp_path, monkeypatch, capsys, args, message):
    monkeypatch.chdir(tmp_path)
    code, out, error = card_command(monkeypatch, capsys, *args)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error


def test_the_name_of_the_card_can_be_given(shipped, monkeypatch, capsys):
    _, out, _ = card_command(monkeypatch, capsys, DEFAULT, "--name", "somebody/model")
    assert "# somebody/model\n" in out
    assert "name: somebody/model" in out
    assert 'SentenceTransformer("somebody/model"' in out  # it is not the one in the package by this name
