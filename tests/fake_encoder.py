"""An encoder whose vectors depend on nothing but the text, and what the tests of encoding share."""

import time
import zlib
from pathlib import Path

import numpy as np

WORDS = [f"text {n}" if n % 7 else "" for n in range(1000)]


class Fake:
    """Vectors that depend on nothing but the text, so that a wrong row shows."""

    fingerprint = "fake"

    def __init__(self, dim=12, fail_after=None, pause=0.0):
        self.dim, self.left, self.pause, self.encoded = dim, fail_after, pause, 0

    def encode_document(self, texts, truncate_dim=None, precision="float32", normalize_embeddings=True):
        time.sleep(self.pause)
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        self.encoded += len(texts)
        sums = np.array([zlib.crc32(text.encode()) for text in texts], np.uint32)
        vectors = (np.outer(sums, np.arange(1, self.dim + 1)) % 1999 / 1000 - 1).astype(np.float32)
        vectors = vectors[:, :truncate_dim]
        if precision == "binary":
            return (np.packbits(vectors > 0, axis=1) - 128).astype(np.int8)
        return (vectors * 127).astype(np.int8) if precision == "int8" else vectors

    def encode_query(self, texts, **options):
        return -self.encode_document(texts, **options)


def left_beside(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.iterdir() if path.name.startswith("."))
