"""The three ways to run one model, and the choice between them.

``native``: compiled, everything in one pass. ``numpy``: no compiled code of ours. ``tokenizers``: any tokenizer, with
the Hugging Face library. All give the same ids, and vectors equal to 1e-6.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sse.edge.batches import blocks_of
from sse.edge.model_file import ModelFiles
from sse.edge.parallel import encode_blocks
from sse.edge.tokenizer_file import Unsupported, WordPiece, read_tokenizer
from sse.edge.wordpiece import unicode_table
from sse.errors import SseError, require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sse.edge.bags import Bags

Backend = Literal["auto", "native", "numpy", "tokenizers"]
BACKENDS = ("auto", "native", "numpy", "tokenizers")
KINDS = ("f32", "f16", "int8_column", "int8_row", "int4")


class Tier(Protocol):
    """Texts, all of them strings, to vectors and ids. A limit of 0 tokens means all of them."""

    name: str
    parallel: bool
    """Do threads help?"""

    def encode(self, texts: Sequence[str], dim: int, normalize: bool, limit: int) -> bytearray:
        """float32 rows, little-endian (texts, dim)."""

    def encode_into(
        self, texts: Sequence[str], dim: int, normalize: bool, limit: int, out: bytearray, row: int
    ) -> None:
        """The same into ``out``, from ``row`` on."""

    def ids(self, text: str, limit: int) -> list[int]:
        """Token ids."""


def native_module() -> Any | None:
    """The compiled core, or None where the package was installed without it."""
    try:
        from sse.edge import _native  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        return None
    return _native


def choose_tier(files: ModelFiles, backend: str) -> Tier:
    """The fastest tier that can run the model, or the one asked for.

    Raises:
        SseError: An unknown name, or a tier that is not installed or cannot run this tokenizer.
    """
    if backend not in BACKENDS:
        raise SseError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    spec = read_tokenizer(files.tokenizer, files.table.rows)
    if backend == "tokenizers" or (backend == "auto" and isinstance(spec, Unsupported)):
        return TokenizersTier(files)
    if isinstance(spec, Unsupported):
        raise SseError(f"{files.tokenizer}: backend {backend!r} cannot run this tokenizer: {spec.reason}")
    core = native_module()
    if backend == "native" and core is None:
        raise SseError("the native core is not installed; install from a wheel, or with a C compiler at hand")
    return NumpyTier(files, spec) if backend == "numpy" or core is None else NativeTier(files, spec)


class NativeTier:
    """The compiled core; numpy is never imported."""

    name = "native"
    parallel = True

    def __init__(self, files: ModelFiles, spec: WordPiece, isa: str = "auto") -> None:
        core, table = native_module(), files.table
        assert core is not None
        alpha = files.alpha
        if table.column_scales:  # one product in double, rounded once: what a float32 product is
            alpha = array("f", [a * s for a, s in zip(alpha, table.column_scales, strict=True)])
        try:
            self.core = core.Core(
                pieces=list(spec.pieces),
                ids=array("I", spec.pieces.values()).tobytes(),
                specials=list(spec.specials.items()),
                unk=spec.unk,
                max_chars=spec.max_chars,
                unicode=unicode_table(),
                path=str(table.path),
                kind=KINDS.index(table.kind),
                rows=table.rows,
                dim=table.dim,
                codes=table.codes,
                scales=table.scales,
                scales_f16=table.scales_dtype == "F16",
                groups=table.groups,
                codebook=table.codebook.tobytes(),
                alpha=alpha.tobytes(),
                beta=files.beta.tobytes(),
                bias=files.bias.tobytes(),
                empty_zero=files.empty_zero,
                count_exponent=files.count_exponent,
                isa=isa,
            )
        except (ValueError, OSError) as error:
            raise SseError(f"{table.path}: {error}") from None
        self.encode: Callable[[Sequence[str], int, bool, int], bytearray] = self.core.encode

    def encode_into(
        self, texts: Sequence[str], dim: int, normalize: bool, limit: int, out: bytearray, row: int
    ) -> None:
        """See ``Tier``."""
        self.core.encode(texts, dim, normalize, limit, out, row)

    def ids(self, text: str, limit: int) -> list[int]:
        """See ``Tier``."""
        return array("I", self.core.ids(text, limit)).tolist()


class NumpyTier:
    """Vectorised; Python for short texts, where it is faster, and for very long ones, where it needs less memory."""

    name = "numpy"
    parallel = False
    vectorised = range(1500, 1 << 20)
    """Sizes of a block of texts, measured as ``blocks_of`` does."""

    def __init__(self, files: ModelFiles, spec: WordPiece) -> None:
        from threading import Lock

        from sse.edge.ascii_batch import BatchTokenizer
        from sse.edge.bags import BagMaker
        from sse.edge.rows import Rows
        from sse.edge.wordpiece import PythonTokenizer

        self.python = PythonTokenizer(spec)
        self.batch = BatchTokenizer(self.python)
        self.rows = Rows(files)
        self.bags = BagMaker(files.table.rows, files.count_exponent)
        self.lock = Lock()  # the memo of the batch tokenizer is one for all threads

    def _bags(self, texts: Sequence[str], limit: int) -> Bags:
        if sum(map(len, texts)) + 32 * len(texts) not in self.vectorised:
            return self.bags.of_lists([self.ids(text, limit) for text in texts])
        with self.lock:
            flat, offsets = self.batch.batch(texts)
        return self.bags.of_batch(flat, offsets, limit)

    def encode(self, texts: Sequence[str], dim: int, normalize: bool, limit: int) -> bytearray:
        """See ``Tier``."""
        blocks = blocks_of(texts)
        if len(blocks) > 1:  # arrays for all texts at once would not stay in the processor's caches
            return encode_blocks(self, texts, blocks, dim, normalize, limit, threads=1)
        return bytearray(self.rows.vectors(self._bags(texts, limit), dim, normalize=normalize).data)

    def encode_into(
        self, texts: Sequence[str], dim: int, normalize: bool, limit: int, out: bytearray, row: int
    ) -> None:
        """See ``Tier``."""
        vectors = self.rows.vectors(self._bags(texts, limit), dim, normalize=normalize)
        out[4 * dim * row : 4 * dim * (row + len(texts))] = vectors.data

    def ids(self, text: str, limit: int) -> list[int]:
        """See ``Tier``."""
        return self.python.ids(text)[: limit or None]


class TokenizersTier(NumpyTier):
    """The Hugging Face library for the ids, numpy for the rest."""

    name = "tokenizers"

    def __init__(self, files: ModelFiles) -> None:
        require("tokenizers", "tokenizers")
        from tokenizers import Tokenizer

        from sse.edge.bags import BagMaker
        from sse.edge.rows import Rows

        try:
            self.tokenizer = Tokenizer.from_file(str(files.tokenizer))
        except Exception as error:  # the library raises bare Exception
            raise SseError(f"{files.tokenizer}: not a tokenizer: {error}") from None
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.rows = Rows(files)
        self.bags = BagMaker(files.table.rows, files.count_exponent)

    def _bags(self, texts: Sequence[str], limit: int) -> Bags:
        encoded = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return self.bags.of_lists([item.ids[: limit or None] for item in encoded])

    def encode(self, texts: Sequence[str], dim: int, normalize: bool, limit: int) -> bytearray:
        """See ``Tier``. All at once: the library has threads of its own, which small blocks would not fill."""
        return bytearray(self.rows.vectors(self._bags(texts, limit), dim, normalize=normalize).data)

    def ids(self, text: str, limit: int) -> list[int]:
        """See ``Tier``."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids[: limit or None]
