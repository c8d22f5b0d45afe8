"""LlamaIndex: its HuggingFaceEmbedding and an index. python examples/llama_index_search.py MODEL [QUERY].

pip install llama-index-embeddings-huggingface
"""

import sys
from pathlib import Path

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

model = sys.argv[1]
query = sys.argv[2] if len(sys.argv) > 2 else "why is mars red"
passages = Path(__file__).with_name("passages.txt").read_text(encoding="utf-8").splitlines()

embedding = HuggingFaceEmbedding(
    model_name=model,
    trust_remote_code=True,
    device="cpu",
    max_length=8192,  # LlamaIndex wants a number, and the model has no limit of its own
)
index = VectorStoreIndex([TextNode(text=passage) for passage in passages], embed_model=embedding)

for hit in index.as_retriever(similarity_top_k=3).retrieve(query):
    print(f"{hit.score:.3f}  {hit.text}")
