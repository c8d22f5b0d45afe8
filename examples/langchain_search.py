"""LangChain: its HuggingFaceEmbeddings and a vector store. python examples/langchain_search.py MODEL [QUERY].

pip install langchain-huggingface sentence-transformers
"""

import sys
from pathlib import Path

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_huggingface import HuggingFaceEmbeddings

model = sys.argv[1]
query = sys.argv[2] if len(sys.argv) > 2 else "why is mars red"
passages = Path(__file__).with_name("passages.txt").read_text(encoding="utf-8").splitlines()

embeddings = HuggingFaceEmbeddings(
    model_name=model,
    model_kwargs={"trust_remote_code": True, "device": "cpu"},  # a plain export needs no trust
    encode_kwargs={"normalize_embeddings": True},
)
store = InMemoryVectorStore.from_texts(passages, embeddings)

for document, score in store.similarity_search_with_score(query, k=3):
    print(f"{score:.3f}  {document.page_content}")
