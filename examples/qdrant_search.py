"""Qdrant in its local mode, without torch: vectors of Encoder. python examples/qdrant_search.py MODEL [QUERY].

pip install stable-static-embedding qdrant-client
"""

import sys
from pathlib import Path

from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

from sse import Encoder

encoder = Encoder.from_pretrained(sys.argv[1])
query = sys.argv[2] if len(sys.argv) > 2 else "why is mars red"
passages = Path(__file__).with_name("passages.txt").read_text(encoding="utf-8").splitlines()

client = QdrantClient(":memory:")  # or path="folder", or url="http://localhost:6333"
client.create_collection("passages", VectorParams(size=encoder.dim, distance=Distance.COSINE))
client.upsert(
    "passages",
    [
        PointStruct(id=number, vector=vector.tolist(), payload={"text": text})
        for number, (text, vector) in enumerate(zip(passages, encoder.encode_document(passages), strict=True))
    ],
)

for hit in client.query_points("passages", query=encoder.encode_query(query).tolist(), limit=3).points:
    print(f"{hit.score:.3f}  {hit.payload['text']}")
