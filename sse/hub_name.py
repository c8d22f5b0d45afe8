"""A Hub id with a revision in one word, ``OWNER/NAME@REVISION``, as huggingface_hub's file system writes it.

It pins a model where only a name can stand: in a list of models, or under a key of a recipe.
"""

from __future__ import annotations

from pathlib import Path

from sse.errors import SseError


def split_revision(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Take a revision off a Hub id.

    Args:
        name: Anything that names a model; what exists as a path stays whole.
        revision: Was given apart from the name.

    Raises:
        SseError: Two different revisions were given.

    Example:
        >>> split_revision("owner/model@v1"), split_revision("owner/model")
        (('owner/model', 'v1'), ('owner/model', None))
    """
    short, mark, written = name.partition("@")
    if (
        not mark
        or not written
        or short.count("/") > 1
        or short.startswith((".", "/", "~"))
        or Path(name).exists()
    ):
        return name, revision
    if revision not in (None, written):
        raise SseError(f"{name}: the revision {revision} was given too")
    return short, written
