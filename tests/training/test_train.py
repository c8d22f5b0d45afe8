"""Training: what comes out, resuming to the last bit, and what a kill or a full disk leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import TrainerCallback

from sse.errors import SseError
from sse.modeling import load_model
from sse.training import Recipe, train
from sse.training.checkpoints import complete_checkpoints
from sse.training.trainer import SSETrainer

WEIGHTS = "model.safetensors"


def changed(recipe_file: Path, *overrides: str) -> Recipe:
    return Recipe.load(recipe_file, overrides)


def assert_same_weights(a: Path, b: Path) -> None:
    left, right = load_file(a / WEIGHTS), load_file(b / WEIGHTS)
    assert sorted(left) == sorted(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture
def finished(recipe, tmp_path):
    return train(recipe, tmp_path / "whole", show_progress=False)


def test_a_training_learns_and_leaves_a_model_and_its_record(recipe, finished):
    losses = [entry["loss"] for entry in finished.log if "loss" in entry]
    assert len(losses) == 12
    assert losses[-1] < losses[0] / 2
    assert all("dyt_saturated" in entry for entry in finished.log if "loss" in entry)
    model = load_model(finished.directory)
    assert model[0].matryoshka_dims == [16, 8]
    facts = model[0].training_facts
    assert (facts["recipe"], facts["trained_on"], facts["rows"], facts["steps"]) == ("small", ["nq"], 256, 12)
    assert facts["sources"][0]["license"] == "CC0"
    np.testing.assert_array_equal(model.encode("mars"), finished.model.encode("mars"))
    training = finished.directory / "training"
    record = json.loads((training / "result.json").read_text())
    assert record["steps"] == 12
    assert record["peak_memory_mb"] > 50
    assert record["environment"]["versions"]["torch"]
    assert json.loads((training / "recipe.json").read_text()) == recipe.model_dump(mode="json")
    assert (training / "training.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in complete_checkpoints(training)] == ["checkpoint-8", "checkpoint-12"]


def test_the_same_recipe_gives_the_same_weights(recipe, finished, tmp_path):
    train(recipe, tmp_path / "again", show_progress=False)
    assert_same_weights(finished.directory, tmp_path / "again")


def test_another_seed_gives_others(recipe_file, finished, tmp_path):
    train(changed(recipe_file, "train.seed=5"), tmp_path / "other", show_progress=False)
    with pytest.raises(AssertionError):
        assert_same_weights(finished.directory, tmp_path / "other")


@pytest.mark.parametrize("overrides", [(), ("train.gradient_accumulation=2",), ("train.sampler='random'",)])
def test_fused_and_reference_loss_train_alike(recipe_file, tmp_path, overrides):
    logs = []
    for kind in ("fused", "reference"):
        recipe = changed(recipe_file, f"loss.kind={kind}", "loss.mask_same_text=false", *overrides)
        logs.append(train(recipe, tmp_path / kind, show_progress=False).log)
    losses = [[entry["loss"] for entry in log if "loss" in entry] for log in logs]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


class _Stop(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 6:
            raise KeyboardInterrupt


def test_ctrl_c_and_resume_end_at_the_same_bits(recipe, finished, tmp_path, monkeypatch):
    started = SSETrainer.__init__

    def with_stop(self, **kwargs):
        started(self, **kwargs)
        self.add_callback(_Stop())

    monkeypatch.setattr(SSETrainer, "__init__", with_stop)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", show_progress=False)
    monkeypatch.undo()
    assert [path.name for path in complete_checkpoints(tmp_path / "cut" / "training")] == ["checkpoint-4"]
    assert not (tmp_path / "cut" / "modules.json").exists()
    result = train(recipe, tmp_path / "cut", resume=True, show_progress=False)
    assert result.steps == 12
    assert_same_weights(finished.directory, tmp_path / "cut")


RUN = """
import os, resource, signal, sys
from sse.training import Recipe, train
from sse.training import trainer
{patch}
train(Recipe.load(sys.argv[1]), sys.argv[2], show_progress=False)
"""
KILL_BEFORE_THE_MARK = """
mark = trainer.mark_complete
def kill(checkpoint):
    if checkpoint.name == "checkpoint-8":
        os.kill(os.getpid(), signal.SIGKILL)
    mark(checkpoint)
trainer.mark_complete = kill
"""
NO_ROOM_FOR_THE_OPTIMIZER = """
save = trainer.SSETrainer._save_optimizer_and_scheduler
def full(self, output_dir):
    if output_dir.endswith("checkpoint-8"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    save(self, output_dir)
trainer.SSETrainer._save_optimizer_and_scheduler = full
"""


def run_patched(patch: str, recipe_file: Path, output: Path) -> subprocess.CompletedProcess[str]:
    code = RUN.format(patch=patch)
    return subprocess.run(
        [sys.executable, "-c", code, str(recipe_file), str(output)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_a_run_killed_inside_a_checkpoint_resumes_from_the_one_before(
    recipe, recipe_file, finished, tmp_path
):
    done = run_patched(KILL_BEFORE_THE_MARK, recipe_file, tmp_path / "cut")
    assert done.returncode == -signal.SIGKILL, done.stderr
    training = tmp_path / "cut" / "training"
    assert (training / "checkpoint-8").is_dir()
    assert [path.name for path in complete_checkpoints(training)] == ["checkpoint-4"]
    train(recipe, tmp_path / "cut", resume=True, show_progress=False)
    assert_same_weights(finished.directory, tmp_path / "cut")


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_whole(recipe, recipe_file, finished, tmp_path):
    done = run_patched(NO_ROOM_FOR_THE_OPTIMIZER, recipe_file, tmp_path / "cut")
    assert "SseError" in done.stderr
    assert "checkpoint-8: the checkpoint could not be written" in done.stderr
    assert "the last whole one is checkpoint-4" in done.stderr
    assert not (tmp_path / "cut" / "training" / "checkpoint-8").exists()
    train(recipe, tmp_path / "cut", resume=True, show_progress=False)
    assert_same_weights(finished.directory, tmp_path / "cut")


def test_a_directory_is_not_trained_into_twice(recipe, finished):
    with pytest.raises(SseError, match="already holds a training"):
        train(recipe, finished.directory)


def test_resuming_with_another_recipe_is_refused(recipe_file, finished):
    with pytest.raises(SseError, match=r"train\.learning_rate was 0\.1, is 0\.2"):
        train(changed(recipe_file, "train.learning_rate=0.2"), finished.directory, resume=True)


def test_evaluation_during_training_keeps_the_best(recipe_file, beir_folder, tmp_path):
    recipe = changed(
        recipe_file,
        f"evaluation.suites=['{beir_folder}']",
        "evaluation.every=3",
        "train.max_steps=8",
        "train.learning_rate=3.0",  # so high that the last step is not the best
        "train.keep=1",
    )
    result = train(recipe, tmp_path / "out", show_progress=False)
    measured = {entry["step"]: entry["eval_ndcg@10"] for entry in result.log if "eval_ndcg@10" in entry}
    assert sorted(measured) == [3, 6, 8]
    assert all("eval_dim8_ndcg@10" in entry for entry in result.log if "eval_ndcg@10" in entry)
    assert result.best_ndcg == max(measured.values())
    best = max(measured, key=measured.get)
    assert_same_weights(tmp_path / "out", tmp_path / "out" / "training" / f"checkpoint-{best}")


def test_checkpoints_are_models_that_load_anywhere(finished):
    checkpoint = complete_checkpoints(finished.directory / "training")[-1]
    assert json.loads((checkpoint / "modules.json").read_text())[0]["type"] == "modeling_sse.SSE"
    np.testing.assert_array_equal(load_model(checkpoint).encode("mars"), finished.model.encode("mars"))


def test_prompts_are_trained_with_and_kept(recipe_file, tmp_path):
    recipe = changed(recipe_file, "model.query_prompt='find: '", "train.max_steps=2")
    result = train(recipe, tmp_path / "out", show_progress=False)
    again = load_model(tmp_path / "out")
    np.testing.assert_array_equal(again.encode_query("mars"), result.model.encode("find: mars"))
    plain = train(changed(recipe_file, "train.max_steps=2"), tmp_path / "plain", show_progress=False)
    assert plain.log[0]["loss"] != result.log[0]["loss"]


def test_a_given_tokenizer_is_used(recipe_file, minilm_path, tmp_path):
    recipe = changed(recipe_file, f"model.tokenizer={minilm_path}", "train.max_steps=1")
    result = train(recipe, tmp_path / "out", show_progress=False)
    assert result.model[0].embedding.weight.shape == (30522, 16)


def test_saturation_is_the_share_of_flat_units(recipe, tmp_path):
    import torch

    trainer = object.__new__(SSETrainer)
    trainer.model = train(recipe, tmp_path / "out", show_progress=False).model
    dyt = trainer.model[0].dyt
    with torch.no_grad():
        dyt.alpha.fill_(1.0)
        dyt.bias.fill_(0.0)
    trainer._pooled = torch.zeros(4, 16)
    assert trainer.saturation() == 0
    trainer._pooled[0] = 5.0
    assert trainer.saturation() == 0.25
    trainer._pooled[1:] = -5.0
    assert trainer.saturation() == 1


def test_bf16_trains(recipe_file, tmp_path):
    result = train(changed(recipe_file, "train.bf16=true"), tmp_path / "out", show_progress=False)
    assert result.loss < result.log[0]["loss"] / 2


def test_missing_reporting_package_is_named(recipe_file, tmp_path):
    pytest.importorskip("transformers")
    try:
        import comet_ml  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("comet_ml is installed")
    with pytest.raises(SseError, match=r"report_to.*comet"):
        train(changed(recipe_file, "train.report_to=['comet_ml']"), tmp_path / "out", show_progress=False)


@pytest.mark.slow
def test_tensorboard_gets_the_figures(recipe_file, tmp_path):
    pytest.importorskip("tensorboard")
    train(changed(recipe_file, "train.report_to=['tensorboard']", "train.max_steps=2"), tmp_path / "out")
    assert list((tmp_path / "out" / "training").rglob("events.out.tfevents.*"))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "no_duplicates"])
def test_two_processes_see_the_loss_of_one(recipe_file, tmp_path, sampler):
    """Two of batch 32 against one of batch 64, over the same 64 rows each step: the same to rounding."""
    settings = [f"train.sampler='{sampler}'", "train.max_steps=6", "sources.numbers.limit=64"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-addr", "127.0.0.1", "--master-port", str(_free_port())]
    command += ["-m", "sse", "train", str(recipe_file), "-o", str(tmp_path / "two")]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    one = train(changed(recipe_file, *settings, "train.batch_size=64"), tmp_path / "one", show_progress=False)
    record = json.loads((tmp_path / "two" / "training" / "result.json").read_text())
    losses = [[entry["loss"] for entry in log if "loss" in entry] for log in (record["log"], one.log)]
    assert len(losses[0]) == 6
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    left, right = load_file(tmp_path / "two" / WEIGHTS), load_file(tmp_path / "one" / WEIGHTS)
    for name in left:
        np.testing.assert_allclose(left[name], right[name], atol=1e-3, err_msg=name)


def test_sources_that_several_processes_cannot_share_are_refused_at_once(recipe_file, tmp_path):
    from sse.training.data.sources import load_sources
    from sse.training.prepare import _refuse_uneven

    (tmp_path / "more.jsonl").write_text(
        "".join(f'{{"anchor": "a {n}", "positive": "b {n}", "negative": "c {n}"}}\n' for n in range(40))
    )
    text = recipe_file.read_text()
    recipe_file.write_text(text.replace("sources = [", 'sources = [{ name = "more", path = "more.jsonl" },'))
    for override, message in (
        ("train.batch_size=32", "'more' and 'numbers' have different columns"),
        ("train.batch_size=64", "'more': its 40 rows do not fill a batch of 64"),
    ):
        recipe = changed(recipe_file, override)
        loaded = load_sources(recipe)
        _refuse_uneven(recipe, loaded, processes=1)
        with pytest.raises(SseError, match=message):
            _refuse_uneven(recipe, loaded, processes=2)
    recipe = changed(recipe_file, "sources.more.negatives=0")
    _refuse_uneven(recipe, load_sources(recipe), processes=2)


def test_progress_goes_to_standard_error(recipe_file, tmp_path, capfd):
    train(changed(recipe_file, "train.max_steps=2"), tmp_path / "out")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert re.search(r"2/2 .*loss=\d", captured.err)
