"""beside.json: how other models do on the sets of a model's results.json, for its card.

Only what was measured in the same way may stand beside: the same gains, the same queries and documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sse.errors import SseError
from sse.eval import EvalReport
from sse.files import write_json

BESIDE = "beside.json"


def read_beside(path: Path) -> dict[str, Any]:
    """Read a beside.json: ``{label: {"model", "dims", "sets": {set: {"ndcg@10", "queries", "docs"}}}}``.

    An absent file is an empty one.

    Raises:
        SseError: It is something else.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for label, one in content.items():
            int(one["dims"])
            for entry in one["sets"].values():
                if not 0 <= entry["ndcg@10"] <= 1:
                    raise ValueError(f"{label}: nDCG@10 is {entry['ndcg@10']}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SseError(f"{path}: not what `sse card --beside` writes: {error}") from None
    return dict(content)


def add_beside(directory: Path, pairs: Sequence[str]) -> None:
    """Put other models' results beside those of a model, in its beside.json.

    Args:
        directory: The model's directory, with results.json.
        pairs: ``"LABEL=PATH"`` with the path of a results.json or of its directory; a known label is replaced.

    Raises:
        SseError: A pair or a results file is not valid, or was measured in another way than the model.
    """
    found = read_beside(directory / BESIDE)
    own = EvalReport.load(directory)
    for pair in pairs:
        label, _, place = pair.partition("=")
        if not label.strip() or not place.strip():
            raise SseError(f"--beside {pair}: write LABEL=PATH, such as potion=results/potion/results.json")
        other = EvalReport.load(place)
        for key in ("graded", "skip_identical_ids"):
            if getattr(own, key) != getattr(other, key):
                raise SseError(f"{place}: was measured with another {key} than {directory / 'results.json'}")
        found[label.strip()] = _entry(other, own, place)
    write_json(directory / BESIDE, found)


def check_beside(beside: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Refuse scores on a set that has other queries or documents than in ``results``.

    Raises:
        SseError: The set and the label are named.
    """
    for label, one in beside.items():
        for name, entry in one["sets"].items():
            own = results["sets"].get(name)
            for key in ("queries", "docs"):
                if own is not None and key in entry and entry[key] != own[key]:
                    raise SseError(
                        f"{BESIDE}: {label} was measured on {entry[key]} {key} of {name}, the model on {own[key]}"
                    )


def _entry(other: EvalReport, own: EvalReport, place: str) -> dict[str, Any]:
    dim = other.dims[0]
    shared = [name for name in own.sets if name in other.sets]
    if not shared:
        raise SseError(f"{place}: no set of it is one that the model was measured on")
    entry = {
        "model": other.model,
        "dims": dim,
        "sets": {
            name: {
                "ndcg@10": other.sets[name].scores(dim).metrics["ndcg@10"],
                "queries": other.sets[name].queries,
                "docs": other.sets[name].docs,
            }
            for name in shared
        },
    }
    counts = {name: {"queries": one.queries, "docs": one.docs} for name, one in own.sets.items()}
    check_beside({place: entry}, {"sets": counts})
    return entry
