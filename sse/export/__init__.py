"""Trained model in, published directory out."""

from sse.export.card import render_card
from sse.export.package import Export, export
from sse.export.quantize import QuantizedTable, quantize

__all__ = ["Export", "QuantizedTable", "export", "quantize", "render_card"]
