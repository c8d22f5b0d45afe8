"""LanceDB embeds rows and queries by its own function. python examples/lancedb_search.py MODEL [QUERY].

pip install lancedb sentence-transformers
"""

import sys
import tempfile
from pathlib import Path

import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

model = sys.argv[1]
query = sys.argv[2] if len(sys.argv) > 2 else "why is mars red"
passages = Path(__file__).with_name("passages.txt").read_text(encoding="utf-8").splitlines()

# A plain export needs no trust.
function = (
    get_registry().get("sentence-transformers").create(name=model, trust_remote_code=True, device="cpu")
)


class Passage(LanceModel):
    """A row: LanceDB fills in the vector."""

    text: str = function.SourceField()
    vector: Vector(function.ndims()) = function.VectorField()


with tempfile.TemporaryDirectory() as folder:
    table = lancedb.connect(folder).create_table("passages", schema=Passage)
    table.add([{"text": text} for text in passages])
    for hit in table.search(query).distance_type("cosine").limit(3).to_list():
        print(f"{1 - hit['_distance']:.3f}  {hit['text']}")
