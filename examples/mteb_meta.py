"""mteb: a draft of the ModelMeta for its list of models. python examples/mteb_meta.py MODEL OWNER/NAME.

pip install mteb sentence-transformers. Revision and date are those of the Hub, to be filled in after publishing.
"""

import json
import sys
from pathlib import Path

from mteb.models import ModelMeta
from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

# Sources of a recipe whose texts may also be in tasks of mteb, so that it does not call these zero-shot.
IN_MTEB = {
    "arxiv_daily": {
        "ArxivClassification",
        "ArxivClusteringP2P",
        "ArxivClusteringS2S",
        "ArXivHierarchicalClusteringP2P",
        "ArXivHierarchicalClusteringS2S",
    },
    "banking77_same_intent": {"Banking77Classification"},
    "covid_qa": {"CovidQA"},
    "stackexchange": {
        "CodeRAGStackoverflowPosts",
        "StackExchangeClustering",
        "StackExchangeClusteringP2P",
        "StackOverflowDupQuestions",
        "StackOverflowQA",
    },
    "strategyqa": {"Ko-StrategyQA"},
}

config = json.loads((Path(sys.argv[1]) / "config.json").read_text(encoding="utf-8"))
training = config.get("training") or {}
sources = [source["name"] for source in training.get("sources", ())]
rows, width = config["vocab_size"], config["dim"]
facts = {
    "loader_kwargs": {"trust_remote_code": True},
    "name": sys.argv[2],
    "revision": None,
    "release_date": None,
    "languages": ["eng-Latn"] if training.get("language") == "en" else None,
    "n_parameters": rows * width + 3 * width,
    "n_embedding_parameters": rows * width,
    "memory_usage_mb": round(4 * rows * width / 2**20),  # sentence-transformers holds the table as float32
    "max_tokens": config["max_seq_length"],  # None: there is no limit
    "embed_dim": config["matryoshka_dims"] or width,
    "license": training.get("license"),
    "open_weights": True,
    "public_training_code": "https://pypi.org/project/stable-static-embedding",
    "public_training_data": bool(sources),
    "framework": ["Sentence Transformers", "PyTorch", "NumPy", "safetensors"],
    "similarity_fn_name": "cosine",
    "use_instructions": False,
    "adapted_from": (training.get("start") or {}).get("model"),
    "training_datasets": set().union(*(IN_MTEB.get(source, set()) for source in sources)) or None,
}
ModelMeta(loader=SentenceTransformerEncoderWrapper, **facts)  # refuses what does not fit
print("ModelMeta(\n    loader=SentenceTransformerEncoderWrapper,")
print("".join(f"    {name}={value!r},\n" for name, value in facts.items()) + ")")
