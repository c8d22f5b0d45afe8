"""Which test sets a model was trained on, by name. Names are all there is to go by; no text is compared."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PARTS = re.compile(r"[-_ ](train|dev|test|validation|sub|subset|small|mini)\b", re.IGNORECASE)


def plain_name(name: str) -> str:
    """Reduce a set's name to what it is a version of: no "Nano", split, trailing digits or punctuation.

    Example:
        >>> plain_name("NanoHotpotQA"), plain_name("hotpotqa-dev-sub"), plain_name("NanoFiQA2018")
        ('hotpotqa', 'hotpotqa', 'fiqa')
    """
    name = name.lower().removeprefix("nano")
    while (shorter := _PARTS.sub("", name)) != name:
        name = shorter
    return re.sub(r"\d+$", "", re.sub(r"[^a-z0-9]", "", name))


def is_in_domain(name: str, trained_on: Iterable[str]) -> bool:
    """Whether the plain name of a set equals or starts with the plain name of one that was trained on.

    Where names mislead it errs on the side of "trained on": zero-shot is the stronger claim.

    Example:
        >>> is_in_domain("NanoQuoraRetrieval", ["quora"]), is_in_domain("NanoClimateFEVER", ["fever"])
        (True, False)
    """
    plain = plain_name(name)
    return any(known and plain.startswith(known) for known in map(plain_name, trained_on))
