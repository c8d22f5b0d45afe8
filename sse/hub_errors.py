"""Errors of the Hub's client as one sentence for the user. Not here: asking the Hub for anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sse.errors import SseError

# The client changed its HTTP library twice (requests, httpx, httpx2), so their errors are told by name.
NO_ANSWER = ("Timeout", "TimeoutException")
NO_CONNECTION = ("ConnectError", "ConnectionError", "ProxyError")
CUT = ("NetworkError", "ProtocolError", "ChunkedEncodingError", "IncompleteRead")
LIBRARIES = ("huggingface_hub", "requests", "httpx", "httpx2")
SENTENCES = {
    "LocalTokenNotFoundError": "there is no token: give one, set HF_TOKEN, or log in with `hf auth login`",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
    "GatedRepoError": "access to it must be asked for on its page first",
    "DisabledRepoError": "it has been disabled",
    "RevisionNotFoundError": "there is no such revision",
    "RepositoryNotFoundError": "there is no such repository, or the token may not see it",
}
"""By the name of a class of huggingface_hub.errors."""


@contextmanager
def hub_errors(subject: str, doing: str) -> Iterator[None]:
    """Whatever the Hub's client raises in this block becomes one sentence.

    Args:
        subject: The repository; stands first.
        doing: What failed, such as ``"cannot be fetched from the Hub"``.

    Raises:
        SseError: The sentence. It never holds a token.
    """
    try:
        yield
    except SseError:
        raise
    except Exception as error:  # they have many roots, and those of hf_xet are plain RuntimeError
        raise SseError(f"{subject}: {doing}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Why a call of the Hub's client failed, in a clause."""
    if isinstance(error, ValueError) and "README.md" in str(error):  # the Hub's own words about a card
        return _words(error)
    for one in _chain(error):
        names = [kind.__name__ for kind in type(one).__mro__]
        for name, sentence in SENTENCES.items():
            if name in names:
                return sentence
        if (answered := _by_status(one)) is not None:
            return answered
        if type(one) is ConnectionError and str(one):  # of hf_xet, which says more in words than in types
            return _words(one)
        if any(name in names for name in NO_ANSWER):
            return "the server did not answer in time"
        if any(name in names for name in NO_CONNECTION) and not _was_cut(one):
            return "the server cannot be reached"
        if any(name in names for name in (*CUT, *NO_CONNECTION)):
            return "the server ended the connection"
    return _words(error)


def is_hub_error(error: BaseException) -> bool:
    """Whether it comes from the Hub's client or the HTTP library under it."""
    return any(type(one).__module__.split(".")[0] in LIBRARIES for one in _chain(error))


def was_refused(error: BaseException) -> bool:
    """Whether the server said no: what was asked for has certainly not been done."""
    if isinstance(error, (SseError, ValueError)):
        return True
    status = [getattr(getattr(one, "response", None), "status_code", None) for one in _chain(error)]
    return any(isinstance(one, int) and 400 <= one < 500 for one in status)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and its causes; what failed in an upload thread is the cause of a RuntimeError."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _words(error: BaseException) -> str:
    """The first lines of a message, as one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) if lines else type(error).__name__


def _by_status(error: BaseException) -> str | None:
    """The clause for an answer that is an error."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if not isinstance(status, int):
        return None
    said = getattr(error, "server_message", None)
    said = f" ({' '.join(str(said).split())})" if said else ""
    if status == 401:
        return "the token is not valid"
    if status == 403:
        return f"the token gives no right to do this{said}"
    if status in (409, 412):
        return f"it was changed by somebody else at the same time{said}"
    if status == 429:
        return "too many requests; try again later"
    if status >= 500:
        return f"the server failed with HTTP {status}{said}"
    return f"the server refused it with HTTP {status}{said}"


def _was_cut(error: BaseException) -> bool:
    """Whether a connection stood before it failed; requests has one class for both."""
    text = str(error)
    return any(words in text for words in ("Connection aborted", "RemoteDisconnected", "reset by peer"))
