"""Smaller tables: f16, int8 and int4, with their scales, as tensors of a weights file.

tanh follows the mean, so a table without its scales would be another function: scales are always kept.
``sse.modeling.modeling_sse.read_table`` is the reader of what is written here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sse.modeling.modeling_sse import SeparableDyT, read_table

TableType = Literal["f32", "f16", "int8", "int4"]
GROUP = 32
SAMPLE_BAGS, SAMPLE_TOKENS = 4096, 8
# Column scales wait until after the sum, which is then one of integers: exact, and about twice as fast on long texts.
COLUMN_BONUS = 1e-4


@dataclass(frozen=True)
class QuantizedTable:
    """A table in the form in which it is stored."""

    tensors: dict[str, Tensor]
    layout: str
    """In words: the number type and what a scale stands for."""
    cosine: float
    """Mean cosine between vectors of this table and of the float32 one, over random bags of 8 rows."""
    alternatives: tuple[tuple[str, float], ...] = ()
    """The other layouts that were measured, with their cosines."""

    @property
    def bytes(self) -> int:
        """Size of the tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())


def quantize(table: Tensor, kind: TableType, dyt: SeparableDyT) -> QuantizedTable:
    """Bring a float32 table (vocabulary, dim) into the form ``kind``.

    int8 takes one scale a row or one a column, whichever gives the higher cosine after the DyT; a column loses
    at most ``COLUMN_BONUS`` of cosine by being preferred. int4 takes a
    scale for 32 columns of a row (for a whole row where dim is not a multiple of 32) and 16 levels fitted to
    the table by Lloyd's algorithm.

    Args:
        table: float32 (vocabulary, dim).
        kind: "f32", "f16", "int8" or "int4".
        dyt: What follows the mean; quality is measured behind it.

    Raises:
        ValueError: Values that are not finite, an odd dim for int4, or values too large for f16.
    """
    if not torch.isfinite(table).all():
        raise ValueError("the table holds values that are not finite")
    if kind == "f32":
        candidates = {"float32": {"embedding.weight": table}}
    elif kind == "f16":
        half = table.to(torch.float16)
        if not torch.isfinite(half).all():
            raise ValueError("the table holds values too large for float16")
        candidates = {"float16": {"embedding.weight": half}}
    elif kind == "int8":
        candidates = {"int8, one scale a row": _int8(table, 1), "int8, one scale a column": _int8(table, 0)}
    else:
        group = GROUP if table.shape[1] % GROUP == 0 else table.shape[1]
        candidates = {f"int4, one scale for {group} columns of a row": _int4(table, group)}
    measured = [
        QuantizedTable(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            layout,
            _cosine(table, tensors, dyt),
        )
        for layout, tensors in candidates.items()
    ]
    best = max(measured, key=lambda found: found.cosine + COLUMN_BONUS * found.layout.endswith("column"))
    others = tuple((found.layout, found.cosine) for found in measured if found is not best)
    return replace(best, alternatives=others)


def _int8(table: Tensor, axis: int) -> dict[str, Tensor]:
    """Codes in [-127, 127] and scales (vocabulary, 1) for axis 1 or (1, dim) for axis 0."""
    scales = (table.abs().amax(dim=axis, keepdim=True) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    codes = (table / scales).round().clamp(-127, 127).to(torch.int8)
    return {"embedding.codes": codes, "embedding.scales": scales}


def _int4(table: Tensor, group: int) -> dict[str, Tensor]:
    """Packed indices (even column in the high half), 16 levels, and float16 scales (vocabulary, groups)."""
    rows, dim = table.shape
    if dim % 2:
        raise ValueError(f"a 4-bit table needs an even number of columns, not {dim}")
    grouped = table.reshape(rows, -1, group)
    scales = grouped.abs().amax(dim=2).clamp_min(1e-7).to(torch.float16)
    unit = (grouped / scales.to(torch.float32).unsqueeze(2)).reshape(rows, dim)
    levels = _lloyd(unit.flatten())
    codes = torch.bucketize(unit, (levels[1:] + levels[:-1]) / 2).to(torch.uint8)
    packed = (codes[:, 0::2] << 4) | codes[:, 1::2]
    return {"embedding.codes": packed, "embedding.codebook": levels, "embedding.scales": scales}


def _lloyd(values: Tensor, steps: int = 50) -> Tensor:
    """Sixteen levels that minimise the squared error (Lloyd, 1982), from a histogram of values in [-1, 1]."""
    bins = 4096
    weight = torch.histc(values, bins=bins, min=-1, max=1).double()
    centre = (torch.arange(bins, dtype=torch.float64) + 0.5) / bins * 2 - 1
    levels = torch.linspace(-1, 1, 16, dtype=torch.float64)
    for _ in range(steps):
        nearest = torch.bucketize(centre, (levels[1:] + levels[:-1]) / 2)
        mass = torch.zeros(16, dtype=torch.float64).index_add_(0, nearest, weight)
        total = torch.zeros(16, dtype=torch.float64).index_add_(0, nearest, weight * centre)
        levels = torch.where(mass > 0, total / mass.clamp_min(1), levels)
    return levels.to(torch.float32)


def _cosine(table: Tensor, tensors: dict[str, Tensor], dyt: SeparableDyT) -> float:
    """Mean cosine of the vectors of random bags, between the table and its stored form."""
    generator = torch.Generator().manual_seed(0)
    bags = torch.randint(len(table), (SAMPLE_BAGS, SAMPLE_TOKENS), generator=generator)
    restored = read_table(tensors, "quantized table")
    with torch.no_grad():
        exact = dyt(torch.nn.functional.embedding_bag(bags, table, mode="mean"))
        stored = dyt(torch.nn.functional.embedding_bag(bags, restored, mode="mean"))
    return float(torch.nn.functional.cosine_similarity(exact.double(), stored.double()).mean())
