"""Items come in their order, an error in its place, and the thread ends when nobody wants more."""

import itertools
import threading
import time

import pytest

from sse.read_ahead import read_ahead


def threads() -> int:
    return sum(thread.name == "read ahead" for thread in threading.enumerate())


@pytest.mark.parametrize("items", [[], [None], [1, None, [], 3], range(1000)])
def test_every_item_in_order(items):
    assert list(read_ahead(iter(items))) == list(items)
    assert threads() == 0


@pytest.mark.parametrize("error", [ValueError("here"), KeyboardInterrupt()])
def test_an_error_comes_where_its_item_would(error):
    def items():
        yield from "abc"
        raise error

    ahead = read_ahead(items())
    assert [next(ahead) for _ in range(3)] == ["a", "b", "c"]
    with pytest.raises(type(error)) as caught:
        next(ahead)
    assert caught.value is error
    assert threads() == 0


def test_items_are_made_while_one_is_used_and_no_more_than_asked():
    made = []
    ahead = read_ahead((made.append(n) or n for n in itertools.count()), count=2)
    assert next(ahead) == 0
    deadline = time.monotonic() + 30
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]  # one used, two waiting, one that finds no room
    ahead.close()
    assert threads() == 0
    assert made == [0, 1, 2, 3]
