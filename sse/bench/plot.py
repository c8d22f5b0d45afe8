"""The picture of a bench report: how many times better than each peer, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sse.bench.pairing import Spread
from sse.errors import require

_COLOURS = ("#1f5fa8", "#d9822b", "#4c9f70", "#b04a5a", "#7a6fb0", "#808080")
_TICKS = [digit * 10.0**power for power in range(-3, 6) for digit in (1, 2, 5)]


def draw_ratios(values: Mapping[str, Mapping[str, Mapping[str, Spread]]], model: str, file: Path) -> None:
    """Draw one panel a peer, as a PNG: a group of bars a measurement, a bar a method, quartiles as whiskers.

    Args:
        values: Peer to measurement to method to ratio.
        model: Name of the model, for the title.
        file: Where to.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    methods = list(
        dict.fromkeys(method for kinds in values.values() for rows in kinds.values() for method in rows)
    )
    kinds = list(next(iter(values.values())))
    figure = require("matplotlib.figure", "bench").Figure(
        figsize=(5.5 * len(values), 1.5 + 0.16 * len(kinds) * (len(methods) + 1)), layout="constrained"
    )
    height = 0.85 / len(methods)
    for axes, (peer, measured) in zip(
        figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True
    ):
        for place, method in enumerate(methods):
            rows = [
                (row, measured[kind][method]) for row, kind in enumerate(kinds) if method in measured[kind]
            ]
            bars = axes.barh(
                [row + (place - (len(methods) - 1) / 2) * height for row, _ in rows],
                [ratio.median - 1 for _, ratio in rows],
                height,
                left=1,  # on a logarithmic axis a bar can only begin at what it is compared with
                xerr=[
                    [ratio.median - ratio.low for _, ratio in rows],
                    [ratio.high - ratio.median for _, ratio in rows],
                ],
                error_kw={"elinewidth": 0.7},
                color=_COLOURS[place % len(_COLOURS)],
                label=method.replace("$", r"\$"),
            )
            axes.bar_label(bars, [f"{ratio.median:.3g}" for _, ratio in rows], padding=2, fontsize=7)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        ratios = [ratio for rows in measured.values() for ratio in rows.values()]
        least, most = min(1, *(ratio.low for ratio in ratios)), max(2, *(ratio.high for ratio in ratios))
        axes.set_xlim(least / 1.1, most * 1.6)  # room for the labels
        ticks = [tick for tick in _TICKS if least / 1.1 <= tick <= most * 1.6]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_yticks(range(len(kinds)), kinds, fontsize=9)
        axes.invert_yaxis()
        axes.set_xlabel(f"times better than {peer}")
        axes.grid(axis="x", color="#e0e0e0", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=3,
        frameon=False,
        fontsize=8,
        title=model.replace("$", r"\$"),
    )
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
