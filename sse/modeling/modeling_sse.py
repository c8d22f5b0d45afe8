"""Stable Static Embedding (SSE) as a sentence-transformers module, in one self-contained file.

Text becomes WordPiece ids, ids become rows of a table, the rows are averaged, and every dimension passes
``y = beta * tanh(alpha * x + bias)`` (Separable DyT). No attention, no positions, no special tokens.

This file is imported by the package and is also copied beside exported weights, where
``SentenceTransformer(directory, trust_remote_code=True)`` runs it without the package. It therefore imports
only what sentence-transformers itself installs. It runs on sentence-transformers 5.2 and later.

It reads: directories written by ``SSE.save`` and ``sse export`` (f32, f16, int8 and int4 tables), published
SSE checkpoints, and the published 4-bit file. It does not train and does not publish.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

try:  # sentence-transformers >= 5.4
    from sentence_transformers.base.modules.input_module import InputModule
except ImportError:  # sentence-transformers 5.2 and 5.3
    from sentence_transformers.models import InputModule

FORMAT_VERSION = 1
Q4_FILE = "embedding.q4_k_m.bin"


class SeparableDyT(nn.Module):
    """Separable dynamic tanh: ``y = beta * tanh(alpha * x + bias)``, one alpha, beta and bias per dimension.

    It differs from DyT (arXiv 2503.10622) in two ways: alpha is a vector, and the bias is inside the tanh.

    Args:
        dim: Number of dimensions, the size of the last axis of the input.
        alpha_init: Start value of every alpha. Beta starts at 1 and bias at 0.

    Example:
        >>> SeparableDyT(2)(torch.tensor([[0.0, 2.0]]))
        tensor([[0.0000, 0.7616]], grad_fn=<MulBackward0>)
    """

    def __init__(self, dim: int, alpha_init: float = 0.5) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((dim,), float(alpha_init)))
        self.beta = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape (..., dim) to the same shape and dtype."""
        return self.beta * torch.tanh(self.alpha * x + self.bias)


class SSE(InputModule):
    """Mean of token rows, then Separable DyT; use it as ``SentenceTransformer(modules=[SSE(...)])``.

    The state dict has the published names and nothing else: ``embedding.weight`` (vocabulary, dim),
    ``dyt.alpha``, ``dyt.beta`` and ``dyt.bias`` (dim,), all float32.

    Args:
        tokenizer: A fast tokenizer, from ``tokenizers`` or ``transformers``. It is copied; the copy has padding
            and truncation switched off, so that nothing is cut silently.
        dim: Width of the table. Ignored when ``weights`` is given.
        alpha_init: Start value of every DyT alpha.
        weights: Start table, float, (vocabulary, dim). Without it rows start as N(0, 1).
        max_seq_length: Use at most this many tokens of a text, or None for all of them. Also a settable property.
        empty_text: What a text without tokens becomes. ``"constant"`` is the published behaviour: the mean of
            nothing is 0, so the output is ``beta * tanh(bias)``, the same non-zero vector for every such text.
            ``"zero"`` gives a zero vector, which is similar to nothing.
        batch_layout: ``"flat"`` hands the model one row of ids and offsets (fastest). ``"padded"`` hands it 2-D
            ids with an attention mask, which losses that slice batches need (CachedMultipleNegativesRankingLoss,
            DataParallel). Both give the same vectors to the last bit. It is an attribute too, and is not saved.
        count_exponent: A token that a text has c times weighs ``c ** count_exponent`` in its mean. 1 is the published
            behaviour. Below 1 a repeated word says less each time, as in BM25.
        matryoshka_dims: Dims that the model was trained to be cut to; stored in config.json for readers.
        training: Facts about the training (data, recipe); stored in config.json, never interpreted here.

    Raises:
        ValueError: A slow tokenizer, an unknown option, or a table that is smaller than the tokenizer's vocabulary.
    """

    config_file_name = "config.json"
    save_in_root = True

    def __init__(
        self,
        tokenizer: Tokenizer | PreTrainedTokenizerFast,
        dim: int = 512,
        *,
        alpha_init: float = 0.5,
        weights: Tensor | np.ndarray | None = None,
        max_seq_length: int | None = None,
        empty_text: str = "constant",
        batch_layout: str = "flat",
        count_exponent: float = 1.0,
        matryoshka_dims: Sequence[int] | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(tokenizer, PreTrainedTokenizerFast):
            tokenizer = tokenizer.backend_tokenizer
        if not isinstance(tokenizer, Tokenizer):
            raise ValueError(
                f"SSE needs a fast tokenizer (tokenizers.Tokenizer), got {type(tokenizer).__name__}"
            )
        if empty_text not in ("constant", "zero"):
            raise ValueError(f"empty_text must be 'constant' or 'zero', got {empty_text!r}")
        if not isinstance(count_exponent, (int, float)) or not 0 < count_exponent <= 1:
            raise ValueError(f"count_exponent must be above 0 and at most 1, got {count_exponent!r}")
        if batch_layout not in ("flat", "padded"):
            raise ValueError(f"batch_layout must be 'flat' or 'padded', got {batch_layout!r}")
        self.tokenizer: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

        largest_id = max(self.tokenizer.get_vocab().values(), default=-1)
        mode = "mean" if count_exponent == 1 else "sum"
        if weights is None:
            self.embedding = nn.EmbeddingBag(largest_id + 1, dim, mode=mode)
        else:
            table = torch.as_tensor(weights).detach().to(torch.float32).clone()
            if table.ndim != 2:
                raise ValueError(f"the table must have the shape (vocabulary, dim), got {tuple(table.shape)}")
            self.embedding = nn.EmbeddingBag.from_pretrained(table, freeze=False, mode=mode)
        if largest_id >= self.embedding.num_embeddings:
            raise ValueError(
                f"the tokenizer has ids up to {largest_id}, but the table only {self.embedding.num_embeddings} rows"
            )
        self.dyt = SeparableDyT(self.embedding.embedding_dim, alpha_init)
        self.max_seq_length = max_seq_length
        self.empty_text = empty_text
        self.count_exponent = float(count_exponent)
        self.batch_layout = batch_layout
        self.matryoshka_dims = list(matryoshka_dims) if matryoshka_dims else None
        self.training_facts = dict(training or {})

    # Text to ids

    def preprocess(
        self, inputs: Sequence[str], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Tokenise texts, without special tokens.

        Args:
            inputs: Texts. The prompt, if any, is put in front of each.
            prompt: Prefix of every text.
            **kwargs: ``max_length`` overrides ``max_seq_length`` for this call; anything else is ignored.

        Returns:
            ``{"input_ids": (tokens,), "offsets": (texts,)}`` in the flat layout, or
            ``{"input_ids": (texts, longest), "attention_mask": (texts, longest)}`` in the padded one; all int64.

        Raises:
            ValueError: An item is not a string, or holds a lone surrogate. Never TypeError, which
                sentence-transformers takes for a sign that the method wants other arguments.
        """
        texts = list(inputs)
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"every text must be a string, got {type(text).__name__}: {_shown(text)}")
        if prompt:
            texts = [prompt + text for text in texts]
        limit = kwargs.get("max_length") or self.max_seq_length
        ids = [encoding.ids[:limit] for encoding in self._encode(texts)]
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        flat = np.fromiter(chain.from_iterable(ids), dtype=np.int64, count=int(lengths.sum()))
        if self.batch_layout == "flat":
            return {
                "input_ids": torch.from_numpy(flat),
                "offsets": torch.from_numpy(np.cumsum(lengths) - lengths),
            }
        mask = np.arange(lengths.max(initial=0)) < lengths[:, None]
        padded = np.zeros(mask.shape, dtype=np.int64)
        padded[mask] = flat
        return {
            "input_ids": torch.from_numpy(padded),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }

    def _encode(self, texts: list[str]) -> list[Any]:
        try:
            return self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except TypeError:  # what tokenizers makes of a lone surrogate
            for text in texts:
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError:
                    raise ValueError(
                        f"a text holds a lone surrogate and is not valid Unicode: {_shown(text)}"
                    ) from None
            raise

    def tokenize(self, texts: Sequence[str], **kwargs: Any) -> dict[str, Tensor]:
        """What sentence-transformers before 5.4 calls instead of ``preprocess``."""
        return self.preprocess(texts, **kwargs)

    # Ids to vectors

    def forward(self, features: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        """Add ``sentence_embedding``, float (texts, dim), not normalised.

        Args:
            features: Flat or padded features as ``preprocess`` makes them. A padded batch is brought into the
                flat form by its mask, so both layouts run the same kernel on the same ids.
            **kwargs: Ignored.
        """
        ids = features["input_ids"]
        if ids.ndim == 2:
            mask = features.get("attention_mask", torch.ones_like(ids)).bool()
            lengths = mask.sum(dim=1)
            ids, offsets = ids[mask], lengths.cumsum(0) - lengths
        else:
            offsets = features["offsets"]
        if self.count_exponent == 1:
            pooled = self.embedding(ids, offsets)
        else:
            pooled = self.embedding(*self._weighted(ids, offsets))
        vectors = self.dyt(pooled)
        if self.empty_text == "zero":
            ends = torch.cat([offsets[1:], offsets.new_tensor([len(ids)])])
            vectors = vectors * (ends > offsets).unsqueeze(1)
        features["sentence_embedding"] = vectors
        return features

    def _weighted(self, ids: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each text's different ids in ascending order, new offsets, and the ids' shares in the text."""
        texts, rows = len(offsets), self.embedding.num_embeddings
        ends = torch.cat([offsets[1:], offsets.new_tensor([len(ids)])])
        text = torch.repeat_interleave(torch.arange(texts, device=ids.device), ends - offsets)
        cells, counts = torch.unique(text * rows + ids, return_counts=True)
        text, counts = cells // rows, counts.to(self.embedding.weight.dtype)
        shares = counts**self.count_exponent
        shares = shares / shares.new_zeros(texts).index_add_(0, text, shares)[text]
        lengths = torch.bincount(text, minlength=texts)
        return cells % rows, lengths.cumsum(0) - lengths, shares

    # What sentence-transformers asks a first module for

    @property
    def max_seq_length(self) -> int | None:
        """Largest number of tokens used of a text, or None for no limit."""
        return self._max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(
                f"max_seq_length must be a positive whole number of tokens or None, got {value!r}"
            )
        self._max_seq_length = value

    def get_embedding_dimension(self) -> int:
        """Width of the vectors."""
        return int(self.embedding.embedding_dim)

    def get_sentence_embedding_dimension(self) -> int:
        """Width of the vectors, by its name before sentence-transformers 5.4."""
        return self.get_embedding_dimension()

    def get_config_dict(self) -> dict[str, Any]:
        """The content of config.json; the table is described as it is saved by this class, in f32."""
        return {
            "format": "stable-static-embedding",
            "format_version": FORMAT_VERSION,
            "dim": self.get_embedding_dimension(),
            "vocab_size": int(self.embedding.num_embeddings),
            "pooling": "mean",
            "count_exponent": self.count_exponent,
            "table": "f32",
            "empty_text": self.empty_text,
            "max_seq_length": self.max_seq_length,
            "matryoshka_dims": self.matryoshka_dims,
            "training": self.training_facts,
        }

    # Files

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write config.json, tokenizer.json and the float32 weights (safetensors, or a torch file if asked)."""
        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        if safe_serialization:
            save_file(state, os.path.join(output_path, "model.safetensors"), metadata={"format": "pt"})
        else:
            torch.save(state, os.path.join(output_path, "pytorch_model.bin"))
        self.tokenizer.save(os.path.join(output_path, "tokenizer.json"))
        with open(os.path.join(output_path, self.config_file_name), "w", encoding="utf-8") as file:
            json.dump(self.get_config_dict(), file, indent=2)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        **kwargs: Any,
    ) -> SSE:
        """Load from a directory or a Hub repository: ours, a published SSE checkpoint, or its 4-bit form.

        Args:
            model_name_or_path: Local directory or Hub id.
            subfolder: Folder of the module inside it.
            token: Hub token.
            cache_folder: Where the Hub client keeps files.
            revision: Branch, tag or commit; used for the weights, the tokenizer and the configuration alike.
            local_files_only: Never touch the network.
            **kwargs: ``backend`` other than "torch" is refused; anything else is ignored.

        Raises:
            ValueError: A missing or contradictory file, a newer format, or a backend other than torch.
        """
        backend = kwargs.get("backend", "torch")
        if backend != "torch":
            raise ValueError(f"backend={backend!r} is not supported by SSE, which runs on torch alone")
        where: dict[str, Any] = {
            "subfolder": subfolder,
            "token": token,
            "cache_folder": cache_folder,
            "revision": revision,
            "local_files_only": local_files_only,
        }

        def find(name: str) -> str | None:
            path: str | None = cls.load_file_path(model_name_or_path, filename=name, **where)
            return path

        config_path, tokenizer_path = find(cls.config_file_name), find("tokenizer.json")
        if tokenizer_path is None:
            raise ValueError(f"{model_name_or_path}: there is no tokenizer.json")
        config = _read_config(config_path) if config_path else {}
        if path := find("model.safetensors"):
            state = load_file(path)
        elif path := find("pytorch_model.bin"):
            state = torch.load(path, map_location="cpu", weights_only=True)
        elif (path := find(Q4_FILE)) and (rest := find("model_rest.safetensors")):
            state = load_file(rest)
            state["embedding.weight"] = read_q4(path, dim=len(state["dyt.alpha"]))
        else:
            raise ValueError(
                f"{model_name_or_path}: there is no model.safetensors, pytorch_model.bin or {Q4_FILE}"
            )
        for name in ("dyt.alpha", "dyt.beta", "dyt.bias"):
            if name not in state:
                raise ValueError(f"{path}: the weights have no {name}")
        options = ("max_seq_length", "empty_text", "count_exponent", "matryoshka_dims", "training")
        module = cls(
            Tokenizer.from_file(tokenizer_path),
            weights=read_table(state, str(path)),
            **{name: config[name] for name in options if name in config},
        )
        dim = module.get_embedding_dimension()
        for name, parameter in module.dyt.named_parameters():
            value = state[f"dyt.{name}"]
            if value.shape != (dim,):
                raise ValueError(
                    f"{path}: dyt.{name} has the shape {tuple(value.shape)}, the table {dim} columns"
                )
            parameter.data = value.to(torch.float32).clone()
        return module


def read_table(state: dict[str, Tensor], source: str) -> Tensor:
    """Return the float32 table (vocabulary, dim) from the tensors of a weights file.

    ``embedding.weight`` is taken as it is (float32 or float16). A quantised table is ``embedding.codes`` with
    ``embedding.scales``: int8 codes times scales of shape (vocabulary, 1) or (1, dim); or uint8 codes
    (vocabulary, dim / 2), two 4-bit indices a byte with the even column in the high half, into
    ``embedding.codebook`` (16,), times scales of shape (vocabulary, groups), each for dim / groups columns.

    Raises:
        ValueError: Neither is there, or shapes or dtypes do not fit; ``source`` is named.
    """
    if "embedding.weight" in state:
        return state["embedding.weight"].to(torch.float32)
    if "embedding.codes" not in state or "embedding.scales" not in state:
        raise ValueError(
            f"{source}: the weights have neither embedding.weight nor embedding.codes with scales"
        )
    codes, scales = state["embedding.codes"], state["embedding.scales"].to(torch.float32)
    if (
        codes.dtype == torch.int8
        and codes.ndim == 2
        and scales.shape in ((len(codes), 1), (1, codes.shape[1]))
    ):
        return codes.to(torch.float32) * scales
    codebook = state.get("embedding.codebook")
    if (
        codes.dtype == torch.uint8
        and codes.ndim == 2
        and codebook is not None
        and codebook.shape == (16,)
        and scales.ndim == 2
        and len(scales) == len(codes)
        and scales.shape[1] > 0
        and 2 * codes.shape[1] % scales.shape[1] == 0
    ):
        values = codebook.to(torch.float32)[unpack_nibbles(codes).long()]
        groups = values.reshape(len(codes), scales.shape[1], -1)
        return (groups * scales.unsqueeze(2)).reshape(values.shape)
    raise ValueError(
        f"{source}: unknown kind of table: codes {codes.dtype} {tuple(codes.shape)}, scales {tuple(scales.shape)}"
    )


def unpack_nibbles(codes: Tensor) -> Tensor:
    """Split bytes (rows, n) into 4-bit numbers (rows, 2n): high half first.

    Example:
        >>> unpack_nibbles(torch.tensor([[0x1F]], dtype=torch.uint8))
        tensor([[ 1, 15]], dtype=torch.uint8)
    """
    return torch.stack([codes >> 4, codes & 15], dim=2).reshape(len(codes), -1)


def read_q4(path: str, dim: int) -> Tensor:
    """Read the published 4-bit table: packed codes, row-major, then one little-endian float32 scale a row.

    A code q stands for ``(q / 7.5 - 1) * scale``; the even column is the high half of a byte. There is no
    header: the row count follows from the file size. The format is named q4_k_m by its author but is not
    llama.cpp's format of that name.

    Args:
        path: The file ``embedding.q4_k_m.bin``.
        dim: Columns of the table, from the length of ``dyt.alpha``.

    Returns:
        The table, float32 (rows, dim).

    Raises:
        ValueError: ``dim`` is odd, or the file is not a whole number of rows.
    """
    data = np.fromfile(path, dtype=np.uint8)
    if dim % 2:
        raise ValueError(f"{path}: a 4-bit table needs an even number of columns, dyt.alpha has {dim}")
    rows, rest = divmod(len(data), dim // 2 + 4)
    if rest or not rows:
        raise ValueError(f"{path}: {len(data)} bytes are not a whole number of 4-bit rows of {dim} columns")
    packed, scales = data[: rows * dim // 2], data[rows * dim // 2 :].copy().view("<f4")
    codes = unpack_nibbles(torch.from_numpy(packed.reshape(rows, dim // 2)))
    return (codes.to(torch.float32) / 7.5 - 1) * torch.from_numpy(scales.astype(np.float32)).unsqueeze(1)


def _read_config(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected a JSON object")
    version = config.get("format_version", FORMAT_VERSION)
    if config.get("format") == "stable-static-embedding" and version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format version {version} is not {FORMAT_VERSION}; a newer modeling_sse.py is needed"
        )
    return config


def _shown(item: object) -> str:
    text = ascii(item)
    return text if len(text) <= 80 else text[:77] + "..."
