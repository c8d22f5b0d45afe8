"""Haystack: its SentenceTransformers embedders in a pipeline. python examples/haystack_search.py MODEL [QUERY].

pip install haystack-ai sentence-transformers-haystack
"""

import sys
from pathlib import Path

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import ComponentDevice
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

model = sys.argv[1]
query = sys.argv[2] if len(sys.argv) > 2 else "why is mars red"
passages = Path(__file__).with_name("passages.txt").read_text(encoding="utf-8").splitlines()

# A plain export needs no trust.
options = {"model": model, "trust_remote_code": True, "device": ComponentDevice.from_str("cpu")}
options |= {"normalize_embeddings": True, "progress_bar": False}
documents = SentenceTransformersDocumentEmbedder(**options).run([Document(content=text) for text in passages])
store = InMemoryDocumentStore(embedding_similarity_function="cosine")
store.write_documents(documents["documents"])

pipeline = Pipeline()
pipeline.add_component("embedder", SentenceTransformersTextEmbedder(**options))
pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=3))
pipeline.connect("embedder.embedding", "retriever.query_embedding")

for hit in pipeline.run({"embedder": {"text": query}})["retriever"]["documents"]:
    print(f"{hit.score:.3f}  {hit.content}")
