"""Ids to vectors with numpy, from the table as it is stored: rows are taken, averaged, and passed through the DyT."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sse.edge.model_file import ModelFiles

Array = np.ndarray[Any, np.dtype[Any]]
BLOCK = (
    256  # rows summed in float32, then in double: a long text keeps its precision and needs no more memory
)


class Rows:
    """The mapped table of a model and what follows the mean."""

    def __init__(self, files: ModelFiles) -> None:
        table = self.table = files.table
        data = np.memmap(table.path, dtype=np.uint8, mode="r")
        dtypes = {"f32": "<f4", "f16": "<f2", "int8_column": "i1", "int8_row": "i1", "int4": "u1"}
        width = table.dim // 2 if table.kind == "int4" else table.dim
        self.codes = self._view(data, table.codes, dtypes[table.kind], (table.rows, width))
        self.scales: Array = np.empty((0, 1), np.float32)
        if table.kind in ("int8_row", "int4"):
            dtype = "<f2" if table.scales_dtype == "F16" else "<f4"
            self.scales = self._view(data, table.scales, dtype, (table.rows, table.groups))
        levels = np.array(table.codebook, np.float32)
        # A byte holds the even column in its high half: one look-up gives both columns.
        self.pairs = np.stack([levels.repeat(16), np.tile(levels, 16)], axis=1) if len(levels) else levels
        self.column_scales = np.array(table.column_scales, np.float32)
        self.alpha, self.beta, self.bias = (
            np.array(values, np.float32) for values in (files.alpha, files.beta, files.bias)
        )
        if len(self.column_scales):
            self.alpha = self.alpha * self.column_scales
        self.empty_zero = files.empty_zero
        self.count_exponent = files.count_exponent

    @staticmethod
    def _view(data: Array, start: int, dtype: str, shape: tuple[int, int]) -> Array:
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        return data[start : start + size].view(dtype).reshape(shape)

    def _sum(self, ids: Array, dim: int) -> Array:
        codes, kind = self.codes.take(ids, 0), self.table.kind
        total: Array
        if kind == "f32":
            total = np.add.reduce(codes[:, :dim], 0)
        elif kind == "f16":
            total = np.add.reduce(codes[:, :dim], 0, dtype=np.float32)
        elif kind == "int8_column":
            total = np.add.reduce(codes[:, :dim], 0, dtype=np.int32).astype(np.float32)
        elif kind == "int8_row":
            total = self.scales.take(ids, 0)[:, 0] @ codes[:, :dim].astype(np.float32)
        else:
            scales = self.scales.take(ids, 0).astype(np.float32)
            values = self.pairs[codes].reshape(len(ids), self.table.groups, -1)
            total = np.einsum("tgc,tg->gc", values, scales).reshape(-1)[:dim]
        return total

    def sums(self, ids: Array, dim: int) -> Array:
        """Sum of the rows ``ids``, float32 (dim,)."""
        if len(ids) <= BLOCK:
            return self._sum(ids, dim)
        total = np.zeros(dim)
        for start in range(0, len(ids), BLOCK):
            total += self._sum(ids[start : start + BLOCK], dim)
        return total.astype(np.float32)

    def _pooled(self, ids: Array, dim: int) -> tuple[Array, float]:
        """Weighted sum of the rows of a text, (dim,), and the sum of the weights."""
        if self.count_exponent == 1:
            return self.sums(ids, dim), len(ids)
        different, counts = np.unique(ids, return_counts=True)
        if len(different) == len(ids):
            return self.sums(ids, dim), len(ids)
        total, weights = np.zeros(dim), 0.0
        for count in np.unique(counts):  # tokens that come equally often are summed together
            group = different[counts == count]
            weight = float(count) ** self.count_exponent
            total += weight * self.sums(group, dim)
            weights += weight * len(group)
        return total.astype(np.float32), weights

    def vectors(self, bags: list[Array], dim: int, *, normalize: bool) -> Array:
        """One vector for each bag of ids, float32 (bags, dim).

        Raises:
            ArithmeticError: A row of the table is not finite; the argument is the number of the text.
        """
        out = np.zeros((len(bags), dim), np.float32)
        counts = np.zeros((len(bags), 1), np.float32)
        for number, ids in enumerate(bags):
            if len(ids):
                out[number], counts[number] = self._pooled(ids, dim)
        if self.table.kind in ("f32", "f16"):
            fine = np.isfinite(out.sum(1))
            if not fine.all():
                raise ArithmeticError(str(int(np.flatnonzero(~fine)[0])))
        out /= np.where(counts > 0, counts, 1)
        out *= self.alpha[:dim]
        out += self.bias[:dim]
        np.tanh(out, out)
        out *= self.beta[:dim]
        if self.empty_zero:
            out *= counts > 0
        if normalize:
            lengths = np.sqrt(np.einsum("ij,ij->i", out, out))
            out /= np.where(lengths > 0, lengths, 1)[:, None]
        return out


def first_not_finite(files: ModelFiles, ids: Iterable[int]) -> int | None:
    """The first of ``ids`` whose row of the table holds a value that is not finite."""
    rows = Rows(files)
    with np.errstate(all="ignore"):
        for token in ids:
            if not np.isfinite(rows.sums(np.array([token]), files.table.dim)).all():
                return token
    return None
