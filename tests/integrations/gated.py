"""An encoder that stops in the middle of a run until a test lets it go on."""

import os
import time
from pathlib import Path

from sse.edge import Encoder


class Gated:
    """Encodes one file; in the second of each process it waits for the file ``open`` in ``gate``.

    While it waits there is a file named by its process in ``gate``, with the name of its Ray node in it.
    """

    def __init__(self, model: Path, gate: Path) -> None:
        self.encoder, self.gate, self.calls = Encoder.from_pretrained(model, threads=1), gate, 0
        self.dim, self.fingerprint, self.backend = (
            self.encoder.dim,
            self.encoder.fingerprint,
            self.encoder.backend,
        )

    def encode_document(self, texts, **options):
        self.calls += 1
        if self.calls == 2:
            import ray

            note = self.gate / str(os.getpid())
            note.with_suffix(".part").write_text(ray.get_runtime_context().get_node_id())
            note.with_suffix(".part").replace(note)
            while not (self.gate / "open").exists():
                time.sleep(0.05)
        return self.encoder.encode_document(texts, **options)

    encode_query = encode_document
