"""vicinity over usearch, without torch: an index that is a file. python examples/vicinity_search.py MODEL [QUERY].

pip install stable-static-embedding "vicinity[usearch]"
"""

import sys
import tempfile
from pathlib import Path

from vicinity import Backend, Metric, Vicinity

from sse import Encoder

encoder = Encoder.from_pretrained(sys.argv[1])
query = sys.argv[2] if len(sys.argv) > 2 else "why is mars red"
passages = Path(__file__).with_name("passages.txt").read_text(encoding="utf-8").splitlines()

index = Vicinity.from_vectors_and_items(
    vectors=encoder.encode_document(passages),
    items=passages,
    backend_type=Backend.USEARCH,
    metric=Metric.COSINE,
)
with tempfile.TemporaryDirectory() as folder:
    index.save(Path(folder) / "index")
    loaded = Vicinity.load(Path(folder) / "index")

for text, distance in loaded.query(encoder.encode_query(query), k=3)[0]:
    print(f"{1 - distance:.3f}  {text}")
