"""Make the next items in a thread while the last one is used: reading goes on beside work that frees the lock."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
PATIENCE = 0.1
"""Seconds after which a thread with a full queue looks whether anybody still wants its items."""


def read_ahead(items: Iterable[Item], count: int = 2) -> Iterator[Item]:
    """Give the items in their order; an error comes where its item would.

    Args:
        items: Is used up in a thread of its own, which ends with the generator that is returned here.
        count: Items that wait at most.
    """
    waiting: queue.Queue[tuple[list[Item], BaseException | None]] = queue.Queue(count)
    left = threading.Event()

    def put(made: list[Item], error: BaseException | None = None) -> None:
        while not left.is_set():
            try:
                return waiting.put((made, error), timeout=PATIENCE)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put([item])
                if left.is_set():
                    return
            put([])
        except BaseException as error:
            put([], error)

    thread = threading.Thread(target=make, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            made, error = waiting.get()
            if error is not None:
                raise error
            if not made:
                return
            yield made[0]
    finally:
        left.set()
        thread.join(1)  # no longer: it may wait for a pipe that says nothing
