"""Damaged, foreign and hostile directories are refused with a sentence before anybody is asked anything."""

import json
import os

import pytest
from safetensors.torch import load_file, save_file

from sse.errors import SseError
from sse.export import export, push_to_hub


def change_json(file, change):
    content = json.loads(file.read_text())
    file.write_text(json.dumps(change(content) or content))


def other_weights(directory):
    tensors = load_file(directory / "model.safetensors")
    tensors["dyt.bias"] = tensors["dyt.bias"] + 0.01
    save_file(tensors, directory / "model.safetensors")


def other_card(old, new):
    def change(directory):
        card = directory / "README.md"
        text = card.read_text()
        assert old in text
        card.write_text(text.replace(old, new, 1))

    return change


def link(name, to):
    def change(directory):
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(to)

    return change


def linked_folder(directory):
    elsewhere = directory.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "model.onnx").write_bytes(b"x")
    (directory / "onnx").symlink_to(elsewhere)


DAMAGE = {
    "no golden.json": (
        lambda d: (d / "golden.json").unlink(),
        "is not an exported model, there is no golden.json",
    ),
    "no card": (lambda d: (d / "README.md").unlink(), "is not an exported model, there is no README.md"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "model.safetensors: there is no such file"),
    "no code": (lambda d: (d / "modeling_sse.py").unlink(), "modeling_sse.py: there is no such file"),
    "no vocabulary": (lambda d: (d / "tokenizer.json").unlink(), "tokenizer.json: there is no such file"),
    "cut weights": (lambda d: os.truncate(d / "model.safetensors", 1000), "the file has not"),
    "other weights": (other_weights, "golden.json: the model gives another vector for text 0"),
    "other vectors": (
        lambda d: change_json(d / "golden.json", lambda g: g["items"][3]["vector"].__setitem__(1, 9.0)),
        "golden.json: the model gives another vector for text 3",
    ),
    "other ids": (
        lambda d: change_json(d / "golden.json", lambda g: g["items"][1]["ids"].append(5)),
        "golden.json: the tokenizer gives other ids for text 1",
    ),
    "empty golden": (
        lambda d: change_json(d / "golden.json", lambda g: g["items"].clear()),
        "golden.json: is not a list",
    ),
    "loose golden": (
        lambda d: change_json(d / "golden.json", lambda g: g.update(tolerance=9)),
        "golden.json: is not a list",
    ),
    "broken results": (lambda d: (d / "results.json").write_text("{"), "results.json: not valid JSON"),
    "other code": (
        lambda d: (d / "modeling_sse.py").write_text("import os"),
        "modeling_sse.py: is not the file that this version of the package writes",
    ),
    "class of this package": (
        lambda d: change_json(
            d / "modules.json", lambda m: m[0].update(type="sse.modeling.modeling_sse.SSE")
        ),
        "modules.json: 'sse.modeling.modeling_sse.SSE' loads nowhere else",
    ),
    "class of elsewhere": (
        lambda d: change_json(d / "modules.json", lambda m: m[0].update(type="evil--modeling_sse.SSE")),
        "modules.json: 'evil--modeling_sse.SSE' loads nowhere else",
    ),
    "path out": (
        lambda d: change_json(d / "modules.json", lambda m: m[0].update(path="../other")),
        "modules.json: a path leads out of the directory",
    ),
    "modules are no list": (
        lambda d: (d / "modules.json").write_text('{"a": 1}'),
        "modules.json: is not a list of modules",
    ),
    "link out": (link("results.json", "/etc/hostname"), "results.json: is a link"),
    "linked folder": (linked_folder, "is a link"),
    "card without head": (other_card("---", "***"), "README.md: has no head of a model card"),
    "card with broken head": (other_card("language: en", "language: [en"), "README.md: its head is not one"),
    "card with broken index": (other_card("results:", "outcome:"), "README.md: its head is not one"),
    "card with strange tags": (
        other_card("- sentence-transformers", "- {a: b}"),
        "README.md: tags in its head",
    ),
    "card with strange licence": (
        other_card("license: cc-by-sa-4.0", "license: 4.0"),
        "README.md: license in its head must be a word",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_nobody_is_contacted(client, mine, kind):
    damage, message = DAMAGE[kind]
    damage(mine)
    with pytest.raises(SseError) as caught:
        push_to_hub(mine, "us/model")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert client.requests == []


@pytest.mark.parametrize("place", ["nothing", "file", "trained"])
def test_what_is_no_export_is_told(client, mine, tmp_path, sse_command, place):
    (tmp_path / "file").write_text("x")
    (tmp_path / "trained").mkdir()
    code, _, error = sse_command("push", tmp_path / place, "us/model")
    assert code == 2
    assert str(tmp_path / place) in error
    assert "export" in error
    assert len(error.splitlines()) == 1


def test_the_code_of_a_plain_twin_is_not_run(client, model, tmp_path):
    directory = export(model, tmp_path / "plain", plain=True).directory
    (directory / "evil.py").write_text("raise SystemExit('it was run')")
    change_json(directory / "modules.json", lambda m: m[1].update(type="evil.Dense"))
    with pytest.raises(SseError, match=r"'evil.Dense' loads nowhere else"):
        push_to_hub(directory, "us/plain")


def test_a_damaged_plain_twin(client, model, tmp_path):
    directory = export(model, tmp_path / "plain", plain=True).directory
    other = load_file(directory / "1_Dense" / "model.safetensors")
    save_file({k: v + 0.01 for k, v in other.items()}, directory / "1_Dense" / "model.safetensors")
    with pytest.raises(SseError, match=r"golden\.json: the model gives another vector"):
        push_to_hub(directory, "us/plain")
    (directory / "1_Dense" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(SseError, match="cannot be loaded"):
        push_to_hub(directory, "us/plain")
