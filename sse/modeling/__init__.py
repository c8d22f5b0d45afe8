"""The torch module, its twin from built-in modules, and model directories."""

from sse.modeling.directory import build_model, load_model, write_model
from sse.modeling.modeling_sse import SSE, SeparableDyT
from sse.modeling.plain_twin import to_plain_twin, write_plain_twin

__all__ = [
    "SSE",
    "SeparableDyT",
    "build_model",
    "load_model",
    "to_plain_twin",
    "write_model",
    "write_plain_twin",
]
