"""Model directories: write one that loads anywhere, and load one without running the code inside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from huggingface_hub.errors import EntryNotFoundError
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import load_file_path

from sse.errors import SseError
from sse.hub_errors import is_hub_error, reason
from sse.hub_name import split_revision
from sse.modeling import modeling_sse
from sse.modeling.modeling_sse import SSE
from sse.shipped import resolve

REQUIREMENTS = {
    "sentence-transformers": {
        "specifier": ">=5.2",
        "reason": "the module is written for its module interface",
    },
    "python": ">=3.10",
}


def build_model(module: SSE, *, query_prompt: str = "", document_prompt: str = "") -> SentenceTransformer:
    """Wrap an SSE module: a ``SentenceTransformer`` on the CPU with cosine similarity.

    Args:
        module: The module.
        query_prompt: What ``encode_query`` puts before every text.
        document_prompt: What ``encode_document`` puts before every text.
    """
    prompts = {"query": query_prompt, "document": document_prompt}
    return SentenceTransformer(modules=[module], device="cpu", prompts=prompts, similarity_fn_name="cosine")


def write_model(model: SentenceTransformer, directory: str | Path) -> None:
    """Write ``model`` so that ``SentenceTransformer(directory, trust_remote_code=True)`` loads it anywhere.

    sentence-transformers writes the module's dotted name, which only resolves where this package is
    installed; here modules.json names the copy of modeling_sse.py that is put beside the weights.

    Args:
        model: A model whose first module is an ``SSE``.
        directory: Existing or new directory; other files in it stay.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(directory), create_model_card=False)
    shutil.copyfile(modeling_sse.__file__, directory / "modeling_sse.py")
    for name, change in (("modules.json", _point_to_copy), ("config_sentence_transformers.json", _require)):
        file = directory / name
        file.write_text(
            json.dumps(change(json.loads(file.read_text(encoding="utf-8"))), indent=2), encoding="utf-8"
        )


def _point_to_copy(modules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    modules[0]["type"] = "modeling_sse.SSE"
    return modules


def _require(config: dict[str, Any]) -> dict[str, Any]:
    config["requirements"] = REQUIREMENTS
    return config


def load_model(
    name: str | Path,
    *,
    revision: str | None = None,
    token: bool | str | None = None,
    cache_folder: str | None = None,
    local_files_only: bool = False,
    trust_remote_code: bool = False,
) -> SentenceTransformer:
    """Load a model for measuring or exporting, on the CPU.

    A model whose one module is an SSE, ours or published, is read by this package's own class: the Python
    file in its directory is not run. Any other model goes to ``SentenceTransformer``.

    Args:
        name: Directory, ``"sse-en-small"`` (the model in this package; a directory of that name goes first), or
            Hub id, also as ``OWNER/NAME@REVISION``.
        revision: Branch, tag or commit.
        token: Hub token.
        cache_folder: Where the Hub client keeps files.
        local_files_only: Never touch the network.
        trust_remote_code: Passed on for models that are not SSE.

    Raises:
        SseError: There is no such model, it cannot be read, or a directory was given with a revision.
    """
    name, revision = split_revision(str(name), revision)
    name = str(resolve(name))
    where: dict[str, Any] = {
        "revision": revision,
        "token": token,
        "cache_folder": cache_folder,
        "local_files_only": local_files_only,
    }
    looks_local = Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1
    if not Path(name).exists() and looks_local:
        raise SseError(f"{name}: there is no such directory")
    if revision is not None and Path(name).exists():
        raise SseError(f"{name}: is a directory, of which there is no revision {revision}")
    try:
        modules_file = load_file_path(name, filename="modules.json", **where)
        if modules_file and not Path(name).exists():  # a push in between must not mix two commits
            where["revision"] = Path(modules_file).parent.name
        modules = json.loads(Path(modules_file).read_text(encoding="utf-8")) if modules_file else []
        if len(modules) != 1 or not modules[0]["type"].rsplit(".", 1)[-1].startswith("SSE"):
            return SentenceTransformer(name, device="cpu", trust_remote_code=trust_remote_code, **where)
        module = SSE.load(name, subfolder=modules[0].get("path", ""), **where)
        config_file = load_file_path(name, filename="config_sentence_transformers.json", **where)
        config = json.loads(Path(config_file).read_text(encoding="utf-8")) if config_file else {}
        return SentenceTransformer(
            modules=[module],
            device="cpu",
            prompts=config.get("prompts"),
            default_prompt_name=config.get("default_prompt_name"),
            similarity_fn_name=config.get("similarity_fn_name") or "cosine",
        )
    except SseError:
        raise
    except Exception as error:
        if is_hub_error(error) and not isinstance(error, (KeyError, EntryNotFoundError)):
            raise SseError(f"{name}: cannot be fetched from the Hub: {reason(error)}") from error
        if not isinstance(error, (OSError, ValueError, KeyError)):
            raise
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SseError(f"{name}: cannot be loaded as a model: {why}") from error
