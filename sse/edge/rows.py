"""Bags to vectors with numpy, from the table as it is stored: rows are taken, averaged, and passed through the DyT."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np

from sse.edge.bags import Bags
from sse.edge.model_file import ModelFiles

Array = np.ndarray[Any, np.dtype[Any]]
BLOCK = (
    256  # rows summed in float32, then in double: a long text keeps its precision and needs no more memory
)


class Rows:
    """The mapped table of a model and what follows the mean."""

    def __init__(self, files: ModelFiles) -> None:
        table = self.table = files.table
        data = np.asarray(np.memmap(table.path, dtype=np.uint8, mode="r"))  # a slice of a memmap runs Python
        dtypes = {"f32": "<f4", "f16": "<u2", "int8_column": "i1", "int8_row": "i1", "int4": "u1"}
        width = table.dim // 2 if table.kind == "int4" else table.dim
        self.codes = self._view(data, table.codes, dtypes[table.kind], (table.rows, width))
        self.scales: Array = np.empty((0, 1), np.float32)
        if table.kind in ("int8_row", "int4"):
            dtype = "<f2" if table.scales_dtype == "F16" else "<f4"
            self.scales = self._view(data, table.scales, dtype, (table.rows, table.groups))
        self.values = self._values()
        self.column_scales = np.array(table.column_scales, np.float32)
        self.alpha, self.beta, self.bias = (
            np.array([values], np.float32) for values in (files.alpha, files.beta, files.bias)
        )
        if len(self.column_scales):
            self.alpha = self.alpha * self.column_scales
        self.empty_zero = files.empty_zero

    @staticmethod
    def _view(data: Array, start: int, dtype: str, shape: tuple[int, int]) -> Array:
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        return data[start : start + size].view(dtype).reshape(shape)

    def _values(self) -> Array:
        """What a code stands for, where a look-up is the fastest way to it; empty for the other kinds."""
        if self.table.kind == "f16":
            return np.arange(1 << 16, dtype="<u2").view("<f2").astype(np.float32)
        levels = np.array(self.table.codebook, np.float32)
        # A byte holds the even column in its high half: one item of eight bytes gives both columns.
        return np.stack([levels.repeat(16), np.tile(levels, 16)], axis=1).view(np.uint64)[:, 0]

    def _sum(self, ids: Array, weights: Array, dim: int) -> Array:
        codes, kind = self.codes.take(ids, 0), self.table.kind
        if kind == "int4":
            groups = -(-dim * self.table.groups // self.table.dim)  # only those with a column below ``dim``
            factors = weights[:, None] * self.scales.take(ids, 0)[:, :groups]
            codes = codes[:, : groups * codes.shape[1] // self.table.groups]
            values = self.values.take(codes).view(np.float32).reshape(len(ids), groups, -1)
            total: Array = np.einsum("tg,tgc->gc", factors, values).reshape(-1)[:dim]
            return total
        if kind == "int8_row":
            weights = weights * self.scales.take(ids, 0)[:, 0]
        codes = codes[:, :dim]
        values = self.values.take(codes) if kind == "f16" else codes.astype(np.float32, copy=False)
        total = np.einsum("t,td->d", weights, values)  # not @, for which some builds of BLAS start threads
        return total

    def sums(self, ids: Array, weights: Array, dim: int) -> Array:
        """Weighted sum of the rows ``ids``, float32 (dim,)."""
        if len(ids) <= BLOCK:
            return self._sum(ids, weights, dim)
        total = np.zeros(dim)
        for start in range(0, len(ids), BLOCK):
            part = slice(start, start + BLOCK)
            total += self._sum(ids[part], weights[part], dim)
        return total.astype(np.float32)

    def vectors(self, bags: Bags, dim: int, *, normalize: bool) -> Array:
        """One vector for each bag, float32 (bags, dim).

        Raises:
            ArithmeticError: A row of the table is not finite; the argument is the number of the text.
        """
        out = np.zeros((len(bags.totals), dim), np.float32)
        for number, (start, end) in enumerate(pairwise(bags.bounds)):
            if start < end:
                out[number] = self.sums(bags.ids[start:end], bags.weights[start:end], dim)
        if self.table.kind in ("f32", "f16") and not isfinite(np.add.reduce(out, None)):
            fine = np.isfinite(out.sum(1))
            if not fine.all():
                raise ArithmeticError(str(int(np.flatnonzero(~fine)[0])))
        out /= bags.totals[:, None]
        out *= self.alpha[:, :dim]
        out += self.bias[:, :dim]
        np.tanh(out, out)
        out *= self.beta[:, :dim]
        if self.empty_zero:
            out *= np.diff(bags.bounds)[:, None] > 0
        if normalize:
            lengths = np.sqrt(np.einsum("ij,ij->i", out, out))
            out /= np.maximum(lengths, 1e-23)[:, None]  # less than any but 0, which stays 0
        return out


def first_not_finite(files: ModelFiles, ids: Iterable[int]) -> int | None:
    """The first of ``ids`` whose row of the table holds a value that is not finite."""
    rows, one = Rows(files), np.ones(1, np.float32)
    with np.errstate(all="ignore"):
        for token in ids:
            if not np.isfinite(rows.sums(np.array([token]), one, files.table.dim)).all():
                return token
    return None
