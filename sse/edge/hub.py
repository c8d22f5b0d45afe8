"""Find a model: a directory, the one in this package, or a Hub repository, of which only needed files are fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sse.edge.model_file import Q4_REST, Q4_TABLE, WEIGHTS, module_folder
from sse.errors import SseError, require
from sse.shipped import resolve

ALWAYS = ("modules.json", "config_sentence_transformers.json")
MODULE = ("config.json", "tokenizer.json")


def locate(
    name: str | Path,
    *,
    revision: str | None = None,
    token: bool | str | None = None,
    cache_folder: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The directory of a model; a Hub repository is fetched, every file of it at one commit.

    A directory goes before the shipped model of the same name.

    Raises:
        SseError: There is no such directory or repository, or it cannot be reached.
    """
    path = Path(resolve(name))
    if path.is_dir():
        return path
    text = str(name)
    if path.exists() or path.is_absolute() or text.startswith(".") or text.count("/") != 1:
        raise SseError(f"{name}: there is no such directory")
    hub = require("huggingface_hub", "hub")
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    where: dict[str, Any] = {
        "revision": revision,
        "token": token,
        "cache_dir": cache_folder,
        "local_files_only": local_files_only,
    }

    def fetch(file: str) -> Path | None:
        try:
            return Path(hub.hf_hub_download(text, file, **where))
        except LocalEntryNotFoundError:
            if local_files_only:
                return None
            raise
        except EntryNotFoundError:
            return None

    try:
        found: list[Path] = []
        for file in ALWAYS:
            if (fetched := fetch(file)) is not None:
                found.append(fetched)
                where["revision"] = fetched.parent.name  # a push in between must not mix two commits
        snapshot = found[0].parent if found else None
        folder = module_folder(snapshot).relative_to(snapshot).as_posix() if snapshot else ""
        prefix = "" if folder in ("", ".") else f"{folder}/"
        for file in MODULE:
            found += [fetched] if (fetched := fetch(prefix + file)) is not None else []
        if (weights := fetch(prefix + WEIGHTS)) is not None:
            found.append(weights)
        else:
            found += [part for file in (Q4_TABLE, Q4_REST) if (part := fetch(prefix + file)) is not None]
    except SseError:
        raise
    except (
        Exception
    ) as error:  # the client's errors have many roots: no such repository, no right, no network
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SseError(f"{name}: cannot be fetched from the Hub: {reason}") from error
    if not found:
        raise SseError(f"{name}: there is no such directory, and no such model in the cache or on the Hub")
    return found[0].parent if not prefix or found[0].name in ALWAYS else found[0].parents[prefix.count("/")]
