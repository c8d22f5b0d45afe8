"""``sse push``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sse.cli.shared import AsJson, Table, say, show, show_json
from sse.errors import require
from sse.shipped import DEFAULT


def push(
    model: Annotated[
        str, typer.Argument(help=f"Directory written by sse export, or {DEFAULT}: the one in this package.")
    ],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub; made if there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="Open a pull request in place of a commit.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Commit to this branch; made if there is none.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="First line of the commit.")] = None,
    table: Annotated[
        list[Table] | None,
        typer.Option(help="Add the model with its table in this form, in a folder; may be repeated."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="By default HF_TOKEN, or that of `hf auth login`.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a silent server.")] = 120.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, list what would be sent, and contact nobody.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check an exported model and publish it on the Hugging Face Hub, in one commit."""
    utils = require("huggingface_hub.utils", "hub")
    from sse.export.hub import push_to_hub

    if not sys.stderr.isatty():
        utils.disable_progress_bars()  # in a log they are in the way of the sentences
    done = push_to_hub(
        model,
        repo,
        private=private,
        pull_request=pull_request,
        revision=revision,
        message=message,
        tables=[form.value for form in table or ()],
        token=token,
        dry_run=dry_run,
        timeout=timeout,
        say=say,
    )
    for note in done.notes:
        say(f"note: {note}")
    if as_json:
        files = [{"path": one.path, "bytes": one.bytes, "sha256": one.sha256} for one in done.files]
        show_json(
            {
                "repo": done.repo,
                "commit": done.commit,
                "revision": done.revision,
                "url": done.url,
                "pull_request": done.pull_request,
                "changed": done.changed,
                "created": done.created,
                "files": files,
                "left_out": list(done.left_out),
                "deleted": list(done.deleted),
                "dry_run": dry_run,
            }
        )
        return
    for name in done.left_out:
        say(f"left out, not on the list of what is published: {name}")
    if dry_run:
        for one in done.files:
            show(f"{one.bytes:>12,}  {one.sha256}  {one.path}")
        show(f"{repo}: {len(done.files)} files, {done.bytes:,} bytes; nothing was sent")
        return
    for name in done.deleted:
        say(f"taken out, this export has no such file: {name}")
    if not done.changed:
        show(f"{repo}: has these files already, at commit {done.commit}")
    elif done.pull_request:
        show(
            f"{repo}: pull request {done.pull_request}, commit {done.commit}; read it with --revision {done.revision}"
        )
    else:
        show(f'{repo}: commit {done.commit} on {done.revision}; pin it: revision="{done.commit}"')
