"""Find a model: a directory, the one in this package, or a Hub repository, of which only needed files are fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sse.edge.model_file import Q4_REST, Q4_TABLE, WEIGHTS, module_folder
from sse.errors import SseError, require
from sse.hub_errors import hub_errors
from sse.hub_name import split_revision
from sse.shipped import resolve

ALWAYS = ("modules.json", "config_sentence_transformers.json")
MODULE = ("config.json", "tokenizer.json")


def locate(
    name: str | Path,
    *,
    revision: str | None = None,
    subfolder: str = "",
    token: bool | str | None = None,
    cache_folder: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The directory of a model; a Hub repository is fetched, every file of it at one commit.

    A directory goes before the shipped model of the same name. ``OWNER/NAME@REVISION`` is a Hub id with a revision.

    Raises:
        SseError: There is no such directory or repository, or it cannot be reached, or a directory was given with a
            revision.
    """
    name, revision = split_revision(str(name), revision)
    path = Path(resolve(name))
    if Path(subfolder).is_absolute() or ".." in Path(subfolder).parts:
        raise SseError(f"{name}: the folder {subfolder!r} leads out of it")
    if path.is_dir():
        if revision is not None:
            raise SseError(f"{path}: is a directory, of which there is no revision {revision}")
        return path / subfolder
    if path.exists() or path.is_absolute() or name.startswith(".") or name.count("/") != 1:
        raise SseError(f"{name}: there is no such directory")
    hub = require("huggingface_hub", "hub")
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    inside = f"{subfolder.strip('/')}/" if subfolder.strip("/") else ""
    where: dict[str, Any] = {
        "revision": revision,
        "token": token,
        "cache_dir": cache_folder,
        "local_files_only": local_files_only,
    }
    snapshots: list[Path] = []

    def fetch(file: str) -> bool:
        """Get one file; whether there is one."""
        try:
            fetched = Path(hub.hf_hub_download(name, inside + file, **where))
        except LocalEntryNotFoundError:
            if local_files_only:
                return False
            raise
        except EntryNotFoundError:
            return False
        snapshots.append(fetched.parents[(inside + file).count("/")])
        where["revision"] = snapshots[0].name  # a push in between must not mix two commits
        return True

    with hub_errors(name, "cannot be fetched from the Hub"):
        for file in ALWAYS:
            fetch(file)
        directory = snapshots[0] / inside if snapshots else None
        folder = module_folder(directory).relative_to(directory).as_posix() if directory else ""
        prefix = "" if folder in ("", ".") else f"{folder}/"
        for file in MODULE:
            fetch(prefix + file)
        if not fetch(prefix + WEIGHTS):
            for file in (Q4_TABLE, Q4_REST):
                fetch(prefix + file)
    if not snapshots:
        raise SseError(f"{name}: there is no such directory, and no such model in the cache or on the Hub")
    return snapshots[0] / inside
