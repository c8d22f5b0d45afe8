"""The runtime: text in, vectors out. No torch and no transformers; numpy only where an array is asked for."""

from sse.edge.encoder import Encoder

__all__ = ["Encoder"]
