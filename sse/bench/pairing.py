"""Paired timing: all methods in turn within a round, ratios within the round, medians over the rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

MOST_PASSES = 5


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise one or more values.

        Example:
            >>> Spread.of([4.0, 1.0, 2.0, 3.0, 5.0])
            Spread(median=3.0, low=2.0, high=4.0)
        """
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


def paired_ratio(base: Sequence[float], other: Sequence[float]) -> Spread:
    """Summarise ``base[i] / other[i]``: how many times less than ``base`` the other took in the same round."""
    return Spread.of([first / second for first, second in zip(base, other, strict=True)])


def ratios_to(peers: Sequence[str], name: str, values: Mapping[str, Sequence[float]]) -> dict[str, Spread]:
    """How many times less than each peer the method ``name`` took; the peer itself is left out."""
    return {peer: paired_ratio(values[peer], values[name]) for peer in peers if peer != name}


def time_rounds(
    methods: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float],
    shortest: float,
) -> dict[str, list[float]]:
    """Run every method once a round, in turn, and give its seconds for one pass, round by round.

    Args:
        methods: Name to a function that works through all the texts.
        rounds: Number of rounds. The method that goes first changes from round to round.
        clock: Seconds, such as ``time.process_time``.
        shortest: A method that is done sooner is repeated in the round, at most five times, and its mean taken.
    """
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    names = list(methods)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            run, passes, start = methods[name], 0, clock()
            while True:
                run()
                passes += 1
                elapsed = clock() - start
                if elapsed >= shortest or passes == MOST_PASSES:
                    break
            seconds[name].append(elapsed / passes)
    return seconds
