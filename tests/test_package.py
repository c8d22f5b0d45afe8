"""The package as a whole: what importing it costs, and what a missing part says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_importing_loads_neither_torch_nor_numpy():
    done = run(
        "import sys, sse, sse.cli; print([m for m in ('torch', 'numpy', 'transformers') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_public_names():
    done = run(
        "from sse import SSE, Encoder, SeparableDyT; import sse; "
        "print(SSE.__name__, sorted(set(sse.__all__) - set(dir(sse))))"
    )
    assert done.stdout.strip() == "SSE []", done.stderr


def test_a_missing_extra_is_named_with_its_pip_line():
    done = run("import sys; sys.modules['torch'] = None; from sse import SSE")
    assert "pip install 'stable-static-embedding[train]'" in done.stderr


def test_the_command_without_the_extra_is_one_sentence():
    code = "import sys; sys.modules['torch'] = None; sys.argv = ['sse', 'eval', 'x']; from sse.cli import main; main()"
    done = run(code)
    assert done.returncode == 2
    assert (
        done.stderr.strip() == "sse: torch is needed for this: pip install 'stable-static-embedding[train]'"
    )


def test_unknown_names_are_attribute_errors():
    import sse

    with pytest.raises(AttributeError, match="nothing"):
        sse.nothing  # noqa: B018


def test_one_version():
    import sse

    assert f'version = "{sse.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"version: {sse.__version__}" in (ROOT / "CITATION.cff").read_text()


def test_commands_in_the_readme_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"quickstart", "test"} <= set(re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE)) <= targets
    from typer.main import get_command

    from sse.cli import app

    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"^sse ([a-z]+)", readme, re.MULTILINE)) <= commands


def test_the_wheel_holds_recipes_and_templates(tmp_path):
    from importlib import resources

    assert (resources.files("sse.training") / "recipes" / "sse-en-v2.toml").is_file()
    assert (resources.files("sse.export") / "card.md.jinja").is_file()
