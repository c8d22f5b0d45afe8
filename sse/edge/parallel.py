"""Many texts over the threads of one process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sse.edge.tiers import Tier


def thread_count(asked: int | None) -> int:
    """How many threads to use: those asked for, SSE_NUM_THREADS, or one for each core that may be used."""
    if asked is not None:
        return asked
    setting = os.environ.get("SSE_NUM_THREADS", "")
    if setting.isdigit() and int(setting) > 0:
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def encode_blocks(
    tier: Tier,
    texts: Sequence[str],
    blocks: list[tuple[int, int]],
    dim: int,
    normalize: bool,
    limit: int,
    threads: int,
) -> bytearray:
    """Threads take blocks until none is left. They live for one call: nothing to lose in a fork.

    Args:
        tier: What encodes.
        texts: All the texts.
        blocks: Start and end of each block, by ``blocks_of``.
        dim: Columns.
        normalize: Make every vector of length 1.
        limit: Tokens of a text at most; 0 means all of them.
        threads: Threads at most, this one included.

    Raises:
        ArithmeticError: A vector is not finite; the argument is the number of the text.
    """
    from threading import Thread

    out = bytearray(4 * dim * len(texts))
    waiting = iter(blocks)  # next() on a list iterator is atomic under the GIL
    errors: list[BaseException] = []

    def work() -> None:
        for start, end in waiting:
            if errors:
                return
            try:
                tier.encode_into(texts[start:end], dim, normalize, limit, out, start)
            except ArithmeticError as error:
                errors.append(ArithmeticError(str(int(str(error)) + start)))
            except BaseException as error:
                errors.append(error)

    helpers = [Thread(target=work, daemon=True) for _ in range(min(threads, len(blocks)) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
    return out
