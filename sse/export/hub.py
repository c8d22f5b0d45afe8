"""``push_to_hub``: an exported model becomes one commit, or one pull request, in a repository of the Hugging Face Hub.

Large files are sent first, where nobody sees them; the commit that names all is one request. So a push that fails
leaves the repository's files as they were, and can be repeated: what has arrived is not sent twice.

Which files go is decided in upload_list.py, what is checked before in upload_check.py, and huggingface_hub talks to the
server.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sse.errors import SseError, require
from sse.export.hub_session import patience
from sse.export.upload_check import check_upload
from sse.export.upload_list import CARD, TABLES, UploadFile, is_published, list_upload
from sse.hub_errors import hub_errors, reason, was_refused
from sse.shipped import SHIPPED, resolve

if TYPE_CHECKING:
    from sse.export.quantize import TableType

TIMEOUT = 120.0
"""Seconds in which the server must send something, before it counts as silent."""
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Push:
    """What was published, or, of a dry run, what would be."""

    repo: str
    files: tuple[UploadFile, ...]
    left_out: tuple[str, ...] = ()
    """Files of the directory that are not on the list of what is published."""
    notes: tuple[str, ...] = ()
    """What the person who pushes may want to mend."""
    deleted: tuple[str, ...] = ()
    """Files of an earlier export in the repository that this one has not; the commit takes them out."""
    commit: str | None = None
    """Hash of the commit: pin it with ``revision``. None after a dry run."""
    url: str | None = None
    """Page of the commit."""
    pull_request: str | None = None
    """Page of the pull request, if it was one."""
    revision: str | None = None
    """Where the commit is: a branch, or ``refs/pr/N``."""
    changed: bool = True
    """False: the repository had these very files, and ``commit`` is the one it was at."""
    created: bool = False
    """The repository was made."""

    @property
    def bytes(self) -> int:
        """Size of the files."""
        return sum(file.bytes for file in self.files)


def push_to_hub(
    model: str | Path,
    repo: str,
    *,
    private: bool = False,
    pull_request: bool = False,
    revision: str | None = None,
    message: str | None = None,
    tables: Sequence[TableType] = (),
    token: str | None = None,
    dry_run: bool = False,
    timeout: float = TIMEOUT,
    say: Callable[[str], None] | None = None,
) -> Push:
    """Publish an exported model in one commit, after checking it.

    Needs the extra ``hub``; ``tables``, a plain twin and the model in this package need ``train`` too.

    Args:
        model: Directory written by ``export``, or ``"sse-en-small"``, which is exported first.
        repo: ``"owner/name"``; made if there is none, unless it is a pull request.
        private: Make it private. A repository that is there and public is refused, not changed.
        pull_request: Open a pull request in place of a commit; needs no right to write.
        revision: Branch; made from the main one if there is none.
        message: First line of the commit.
        tables: Further stored forms of the table, each with all that an export has in a folder of its name.
        token: By default HF_TOKEN, or that of ``hf auth login``.
        dry_run: Only check and list; nobody is contacted.
        timeout: Seconds without a byte from the server after which a request counts as failed.
        say: Called with what is being done.

    Returns:
        What was published, with the hash of the commit.

    Raises:
        SseError: The directory is not a sound export, or the Hub cannot be reached or refuses; one sentence.
    """
    hub = require("huggingface_hub", "hub")
    _check_arguments(repo, revision, pull_request, private, tables)
    say = say or (lambda _: None)
    with ExitStack() as stack:
        directory = stack.enter_context(_directory(model, repo))
        listed = list_upload(directory)
        check_upload(directory, listed)
        files = list(listed.files)
        for table in tables:
            say(f"export with the table as {table}")
            files += _further_table(directory, table, repo, stack)
        planned = Push(repo, tuple(files), listed.left_out, _notes(directory, repo))
        if dry_run:
            return planned
        say(f"{repo}: {len(files)} files, {planned.bytes / 1e6:.1f} MB")
        with patience(timeout), hub_errors(repo, "not published"):
            return _send(hub, planned, private, pull_request, revision, message, token, timeout)


def _send(
    hub: Any,
    planned: Push,
    private: bool,
    pull_request: bool,
    revision: str | None,
    message: str | None,
    token: str | None,
    timeout: float,
) -> Push:
    """Everything that talks to the Hub."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    used = token or hub.get_token()
    if not used:
        raise LocalTokenNotFoundError
    if not (used.isascii() and used.isprintable() and " " not in used):  # it could not stand in a header
        raise SseError(f"{planned.repo}: not published: the token is not valid")
    api = hub.HfApi(token=token, library_name="stable-static-embedding")
    repo, created = planned.repo, _ensure_repo(api, planned.repo, private, pull_request, timeout)
    head = _head(api, repo, revision, pull_request, timeout)
    there = {sibling.rfilename for sibling in head.siblings or ()}
    gone = sorted(name for name in there - {file.path for file in planned.files} if is_published(name))
    added = [hub.CommitOperationAdd(file.path, str(file.source)) for file in planned.files]
    where = {"revision": revision, "create_pr": pull_request}
    api.preupload_lfs_files(repo, added, free_memory=False, **where)
    try:
        done = api.create_commit(
            repo,
            [*added, *(hub.CommitOperationDelete(name) for name in gone)],
            commit_message=message or "Publish a static embedding model",
            parent_commit=head.sha,  # a commit of somebody else in between is not overwritten
            **where,
        )
    except Exception as error:
        if was_refused(error):
            raise
        raise SseError(
            f"{repo}: the commit was not confirmed: {reason(error)}; push again, what is there is not sent twice"
        ) from error
    changed = done.oid != head.sha
    return Push(
        repo=repo,
        files=planned.files,
        left_out=planned.left_out,
        notes=planned.notes,
        deleted=tuple(gone),
        commit=done.oid,
        url=done.commit_url,
        pull_request=done.pr_url if changed else None,
        revision=done.pr_revision if changed and pull_request else revision or "main",
        changed=changed,
        created=created,
    )


def _ensure_repo(api: Any, repo: str, private: bool, pull_request: bool, timeout: float) -> bool:
    """Make the repository if there is none; tells whether it did."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.model_info(repo, timeout=timeout)
    except RepositoryNotFoundError:
        if pull_request:
            raise
        api.create_repo(repo, private=private or None, repo_type="model", exist_ok=True)
        found, created = api.model_info(repo, timeout=timeout), True
    else:
        created = False
    if private and not found.private:
        raise SseError(f"{repo}: is there and public; make it private on its page, or push without --private")
    return created


def _head(api: Any, repo: str, revision: str | None, pull_request: bool, timeout: float) -> Any:
    """What the commit goes on top of; a branch that is not there is made."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return api.model_info(repo, revision=revision, timeout=timeout)
    except RevisionNotFoundError:
        if pull_request or revision is None:
            raise
        api.create_branch(repo, branch=revision, exist_ok=True)
        return api.model_info(repo, revision=revision, timeout=timeout)


def _check_arguments(
    repo: str, revision: str | None, pull_request: bool, private: bool, tables: Sequence[str]
) -> None:
    utils = require("huggingface_hub.utils", "hub")
    from huggingface_hub.errors import HFValidationError

    try:
        utils.validate_repo_id(repo)
        if repo.count("/") != 1:
            raise HFValidationError
    except HFValidationError:
        raise SseError(
            f"{repo}: is not a repository id; write OWNER/NAME, of letters, digits and single - _ ."
        ) from None
    if revision is not None and (not revision or COMMIT.fullmatch(revision)):
        raise SseError(f"revision {revision}: give the name of a branch, to which a commit can be added")
    if pull_request and private:
        raise SseError("a pull request goes to a repository that is there: give it without --private")
    for table in tables:
        if table not in TABLES or list(tables).count(table) > 1:
            raise SseError(f"table {table}: must be one of {', '.join(TABLES)}, each at most once")


@contextmanager
def _directory(model: str | Path, repo: str) -> Iterator[Path]:
    """The directory to publish; the model in this package is exported for as long as it takes."""
    directory = Path(resolve(model))
    if str(model) not in SHIPPED or directory == Path(model):
        if not directory.is_dir():
            raise SseError(f"{model}: there is no such directory; push takes what sse export writes")
        yield Path(os.path.abspath(directory))
        return
    require("torch", "train")
    from sse.export.package import export

    with tempfile.TemporaryDirectory(prefix="sse-push-") as folder:
        yield export(
            str(model), Path(folder) / repo.split("/")[1], table=_kind(directory), name=repo
        ).directory


def _further_table(directory: Path, table: TableType, repo: str, stack: ExitStack) -> Sequence[UploadFile]:
    """Export with another table, check it, and list its files under the table's name."""
    require("torch", "train")
    from sse.export.package import export

    if table == _kind(directory):
        raise SseError(f"table {table}: is how {directory} stores its table already")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sse-push-"))
    written = export(directory, Path(folder) / table, table=table, name=repo).directory
    listed = list_upload(written, prefix=table)
    check_upload(written, listed)
    return listed.files


def _kind(directory: Path) -> TableType:
    """How a model stores its table."""
    from sse.edge.model_file import read_model

    return read_model(directory).table.name  # type: ignore[return-value]


def _notes(directory: Path, repo: str) -> tuple[str, ...]:
    card = directory / CARD
    if repo in card.read_text(encoding="utf-8"):
        return ()
    return (
        f"{card}: its snippets do not load {repo}; sse export MODEL DIR --name {repo} writes a card that does",
    )
