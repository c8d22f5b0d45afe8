"""How long the Hub's client waits for a server that says nothing. By default it waits for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sse.errors import require


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """In this block a request fails when the server has sent nothing for so long.

    Not for uploads to Xet storage, which have limits of their own.
    """
    session: Any = require("huggingface_hub.utils", "hub").get_session()
    if hasattr(session, "timeout"):  # one client for the process, of httpx (huggingface_hub 1.0 and newer)
        before, session.timeout = session.timeout, seconds
        try:
            yield
        finally:
            session.timeout = before
        return
    hub, http = require("huggingface_hub", "hub"), require("huggingface_hub.utils._http", "hub")
    before = http._GLOBAL_BACKEND_FACTORY  # of the last 0.x, which will not change

    def backend() -> Any:
        made = before()
        made.request = partial(made.request, timeout=seconds)
        return made

    hub.configure_http_backend(backend)
    try:
        yield
    finally:
        hub.configure_http_backend(before)
