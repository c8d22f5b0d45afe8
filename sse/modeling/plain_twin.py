"""The same function from sentence-transformers' own modules, which load with no flag at all.

``StaticEmbedding`` averages rows; ``Dense`` with a diagonal alpha, the bias and tanh squashes them; a second
``Dense`` with a diagonal beta scales them. The price is two dim x dim matrices (2 MB at 512 dims).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from sse.modeling.modeling_sse import SSE

try:  # sentence-transformers >= 5.4
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
except ImportError:
    from sentence_transformers.models import Dense, StaticEmbedding


def to_plain_twin(model: SentenceTransformer | SSE) -> SentenceTransformer:
    """Build a model of built-in modules that gives the same vectors as ``model``, to 1e-6.

    Args:
        model: An SSE module, or a model whose only module is one. Its weights are copied.

    Returns:
        A ``SentenceTransformer`` of ``StaticEmbedding``, ``Dense`` and ``Dense``. A ``max_seq_length`` is
        carried over as truncation of its tokenizer.

    Raises:
        ValueError: The model is not a single SSE module, or gives zero vectors for empty texts or weighs
            repeated tokens less, which the built-in modules cannot do.
    """
    sse = model if isinstance(model, SSE) else model[0]
    if not isinstance(sse, SSE) or (isinstance(model, SentenceTransformer) and len(model) != 1):
        raise ValueError("a plain twin can be made only of a model whose one module is SSE")
    if sse.empty_text == "zero":
        raise ValueError(
            "the plain twin cannot give a zero vector for an empty text; use empty_text='constant'"
        )
    if sse.count_exponent != 1:
        raise ValueError(
            f"the built-in modules weigh every token alike; this model's count_exponent is {sse.count_exponent}"
        )
    dim = sse.get_embedding_dimension()
    tokenizer = type(sse.tokenizer).from_str(sse.tokenizer.to_str())
    if sse.max_seq_length is not None:
        tokenizer.enable_truncation(sse.max_seq_length)
    bag = StaticEmbedding(tokenizer, embedding_weights=sse.embedding.weight.detach().clone())
    squash = Dense(dim, dim, bias=True, activation_function=nn.Tanh())
    scale = Dense(dim, dim, bias=False, activation_function=nn.Identity())
    with torch.no_grad():
        squash.linear.weight.copy_(torch.diag(sse.dyt.alpha))
        squash.linear.bias.copy_(sse.dyt.bias)
        scale.linear.weight.copy_(torch.diag(sse.dyt.beta))
    if isinstance(model, SentenceTransformer):
        return SentenceTransformer(
            modules=[bag, squash, scale],
            device="cpu",
            prompts=dict(model.prompts),
            default_prompt_name=model.default_prompt_name,
            similarity_fn_name=model.similarity_fn_name,
        )
    return SentenceTransformer(modules=[bag, squash, scale], device="cpu")


def write_plain_twin(model: SentenceTransformer, directory: str | Path) -> None:
    """Save the plain twin of ``model`` in a form that sentence-transformers 5.0 to 6.2 all read.

    Newer versions save module paths and ``Dense`` keys that older ones do not know, so both are written
    by their old names, which newer versions still accept.
    """
    directory = Path(directory)
    to_plain_twin(model).save_pretrained(str(directory), create_model_card=False)
    modules_file = directory / "modules.json"
    modules = json.loads(modules_file.read_text(encoding="utf-8"))
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].rsplit(".", 1)[-1]
    modules_file.write_text(json.dumps(modules, indent=2), encoding="utf-8")
    for config_file in directory.glob("*_Dense/config.json"):
        config = json.loads(config_file.read_text(encoding="utf-8"))
        old = {key: value for key, value in config.items() if not key.startswith("module_")}
        config_file.write_text(json.dumps(old, indent=2), encoding="utf-8")
