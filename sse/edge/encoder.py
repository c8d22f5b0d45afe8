"""``Encoder``: text to vectors on any CPU, without torch. numpy is imported when an array is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sse.edge.arguments import as_list, check_options, checked_dim, checked_texts, thread_limit, token_limit
from sse.edge.batches import STREAM_CHARS, STREAM_TEXTS, blocks_of, take
from sse.edge.hub import locate
from sse.edge.model_file import ModelFiles, read_model
from sse.edge.parallel import encode_blocks, thread_count
from sse.edge.tiers import Backend, choose_tier
from sse.errors import InputError, SseError
from sse.shipped import shipped_model

if TYPE_CHECKING:
    import numpy as np

DOCUMENT_PROMPTS = ("document", "passage", "corpus")


class Encoder:
    """A static embedding model. Make one with ``Encoder.from_pretrained``.

    One encoder may be used by many threads at once. It survives a fork and can be pickled (by its directory).
    """

    def __init__(self, files: ModelFiles, dim: int | None, backend: str, threads: int | None) -> None:
        self._files = files
        self._backend = backend
        self._threads = thread_limit(threads)
        self._tier = choose_tier(files, backend)
        self._dim = checked_dim(dim, files.table.dim)
        self.max_seq_length = files.max_seq_length
        self.prompts: Mapping[str, str] = files.prompts
        # True: a text needs nothing but the native core.
        self._quick = self._tier.parallel and not files.default_prompt_name

    @classmethod
    def from_pretrained(
        cls,
        path_or_repo: str | Path | None = None,
        dim: int | None = None,
        revision: str | None = None,
        token: bool | str | None = None,
        local_files_only: bool = False,
        backend: Backend | None = None,
        *,
        threads: int | None = None,
        cache_folder: str | None = None,
        subfolder: str = "",
    ) -> Encoder:
        """Load a model.

        Args:
            path_or_repo: Directory, ``"sse-en-small"`` (the model in this package; a directory of that name goes
                first), or Hub id (extra ``hub``). Without it the model in this package, whatever lies around.
            dim: Give vectors of this many dimensions; only these columns of the table are read.
            revision: Branch, tag or commit on the Hub; every file comes from it. Pin a commit to keep what you have.
            token: Hub token.
            local_files_only: Never touch the network.
            backend: ``native``, ``numpy`` or ``tokenizers``; by default (``auto``, or the environment variable
                SSE_BACKEND) the fastest one that can run the model.
            threads: Threads for large batches; by default SSE_NUM_THREADS, or one for each core.
            cache_folder: Where the Hub client keeps files.
            subfolder: Folder of the repository or directory that holds the model, such as ``"int8"``.

        Raises:
            SseError: The model cannot be found, is damaged, or does not fit the backend; one sentence.
            ValueError: ``dim`` or ``threads`` is out of range.

        Example:
            >>> encoder = Encoder.from_pretrained()  # doctest: +SKIP
            >>> encoder.encode("first text").shape  # doctest: +SKIP
            (512,)
        """
        if path_or_repo is None:
            if revision is not None:
                raise SseError(f"the model in this package has no revision {revision}; give a Hub id")
            directory = shipped_model()
        else:
            directory = locate(
                path_or_repo,
                revision=revision,
                subfolder=subfolder,
                token=token,
                cache_folder=cache_folder,
                local_files_only=local_files_only,
            )
        chosen = backend if backend not in (None, "auto") else os.environ.get("SSE_BACKEND", "auto")
        return cls(read_model(directory), dim, str(chosen), threads)

    def __reduce__(self) -> tuple[Any, ...]:
        # Absolute: who opens it may stand elsewhere.
        return _reopen, (str(self._files.directory.absolute()), self._dim, self._backend, self._threads)

    def __repr__(self) -> str:
        name = str(self._files.directory)
        return f"Encoder({name!r}, dim={self._dim}, table={self.table!r}, backend={self.backend!r})"

    @property
    def backend(self) -> str:
        """``native``, ``numpy`` or ``tokenizers``."""
        return self._tier.name

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._dim

    @property
    def table(self) -> str:
        """How the table is stored: ``f32``, ``f16``, ``int8`` or ``int4``."""
        return self._files.table.name

    @property
    def vocab_size(self) -> int:
        """Rows of the table."""
        return self._files.table.rows

    @property
    def fingerprint(self) -> str:
        """A digest of the files that decide the vectors."""
        return self._files.fingerprint()

    @property
    def similarity_fn_name(self) -> str:
        """What ``similarity`` computes."""
        return self._files.similarity

    def get_embedding_dimension(self) -> int:
        """Width of the vectors, by its name in sentence-transformers."""
        return self._dim

    def encode(
        self,
        texts: str | Sequence[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: str = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = True,
        truncate_dim: int | None = None,
        max_length: int | None = None,
    ) -> np.ndarray[Any, np.dtype[Any]]:
        """Turn texts into vectors; the keywords are those of ``SentenceTransformer.encode``.

        Args:
            texts: One text or a sequence of them.
            prompt_name: Put this prompt of the model before every text.
            prompt: Put this before every text; goes before ``prompt_name``.
            batch_size: Texts in a step of the progress bar. Vectors never depend on it.
            show_progress_bar: Show one on standard error.
            output_value: Only ``"sentence_embedding"``.
            precision: ``"float32"``; ``"int8"``: each vector scaled so that its largest value is 127, which keeps
                every cosine and needs no calibration; ``"binary"`` or ``"ubinary"``: the signs, eight to an int8
                or uint8, as in sentence-transformers.
            convert_to_numpy: Must be true: this encoder gives numpy arrays.
            convert_to_tensor: Must be false.
            device: ``None`` or ``"cpu"``.
            normalize_embeddings: Give vectors of length 1 (a zero vector stays one).
            truncate_dim: Give the first dimensions only, normalised after the cut.
            max_length: Use at most this many tokens of a text; by default all, or what the model says.

        Returns:
            float32 (d,) for one text, (n, d) for n of them; other dtypes by ``precision``.

        Raises:
            ValueError: An argument out of range, or an item that is not valid text; the row is named.
        """
        if (
            type(texts) is str
            and self._quick
            and batch_size is None
            and self.max_seq_length is None
            and normalize_embeddings
            and prompt_name is None
            and prompt is None
            and truncate_dim is None
            and max_length is None
            and device is None
            and precision == "float32"
            and output_value == "sentence_embedding"
            and convert_to_numpy
            and not convert_to_tensor
        ):  # one text as most people ask for it: all that follows costs as much again as the vector
            try:
                return _frombuffer(self._tier.encode((texts,), self._dim, True, 0))
            except (UnicodeEncodeError, ArithmeticError):
                pass  # what is wrong is said below
        if isinstance(texts, str):
            rows: Sequence[str] = (texts,)
        else:
            rows = texts if isinstance(texts, (list, tuple)) else as_list(texts)
        check_options(output_value, convert_to_numpy, convert_to_tensor, device, batch_size)
        prefix = self._prompt(prompt_name, prompt)
        if prefix:
            rows = [prefix + text for text in checked_texts(rows)]
        dim = checked_dim(truncate_dim, self._dim)
        if show_progress_bar and len(rows) > 1:
            data = self._encode_with_bar(rows, dim, normalize_embeddings, max_length, batch_size or 1024)
        else:
            data = self._encode(rows, dim, normalize_embeddings, max_length)
        vectors = _frombuffer(data).reshape(len(rows), dim)
        if precision != "float32":
            from sse.edge.vectors import with_precision

            vectors = with_precision(vectors, precision)
        return vectors[0] if isinstance(texts, str) else vectors

    def encode_query(
        self, texts: str | Sequence[str], prompt_name: str | None = None, **options: Any
    ) -> np.ndarray[Any, np.dtype[Any]]:
        """``encode`` with the model's query prompt, if it has one."""
        if prompt_name is None and options.get("prompt") is None and "query" in self.prompts:
            prompt_name = "query"
        return self.encode(texts, prompt_name, **options)

    def encode_document(
        self, texts: str | Sequence[str], prompt_name: str | None = None, **options: Any
    ) -> np.ndarray[Any, np.dtype[Any]]:
        """``encode`` with the model's document prompt, if it has one."""
        if prompt_name is None and options.get("prompt") is None:
            prompt_name = next((name for name in DOCUMENT_PROMPTS if name in self.prompts), None)
        return self.encode(texts, prompt_name, **options)

    def encode_raw(
        self,
        texts: Sequence[str],
        *,
        normalize_embeddings: bool = True,
        truncate_dim: int | None = None,
        max_length: int | None = None,
    ) -> bytearray:
        """Vectors as little-endian float32 bytes, row after row. With the native tier numpy is never imported."""
        if isinstance(texts, str):
            raise InputError("encode_raw takes a sequence of texts, not one string")
        return self._encode(texts, checked_dim(truncate_dim, self._dim), normalize_embeddings, max_length)

    def encode_stream(
        self, texts: Iterable[str], batch_size: int | None = None, **options: Any
    ) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
        """Encode texts as they come, in bounded memory.

        Args:
            texts: Any iterable of strings.
            batch_size: Texts in an array at most; by default up to 4096 texts or 2^20 characters.
            **options: As for ``encode``.

        Yields:
            Arrays (n, d), in order.
        """
        source = iter(texts)
        done = 0
        while batch := take(source, batch_size or STREAM_TEXTS, None if batch_size else STREAM_CHARS):
            try:
                vectors = self.encode(batch, **options)
            except InputError as error:
                raise error.moved(done) from None
            done += len(batch)
            yield vectors

    def tokenize(self, texts: str | Sequence[str], max_length: int | None = None) -> list[list[int]]:
        """Token ids of each text, without added special tokens."""
        rows = [texts] if isinstance(texts, str) else list(texts)
        limit = token_limit(self.max_seq_length if max_length is None else max_length)
        return [self._tier.ids(text, limit) for text in checked_texts(rows)]

    def similarity(self, a: Any, b: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Similarities (rows of a, rows of b) by the model's own function, cosine by default."""
        from sse.edge.vectors import similarities

        return similarities(a, b, self.similarity_fn_name)

    # Inside

    def _encode(self, texts: Sequence[str], dim: int, normalize: bool, max_length: int | None) -> bytearray:
        limit = token_limit(self.max_seq_length if max_length is None else max_length)
        try:
            if len(texts) > 1 and self._tier.parallel and (threads := thread_count(self._threads)) > 1:
                blocks = blocks_of(texts)
                if len(blocks) > 1:
                    return encode_blocks(self._tier, texts, blocks, dim, normalize, limit, threads)
            if self._tier.parallel:
                return self._tier.encode(texts, dim, normalize, limit)
            return self._tier.encode(checked_texts(texts), dim, normalize, limit)
        except (TypeError, UnicodeEncodeError):
            checked_texts(texts)
            raise
        except ArithmeticError as error:
            raise self._bad_row(texts, int(str(error)), limit) from None

    def _encode_with_bar(
        self, texts: Sequence[str], dim: int, normalize: bool, max_length: int | None, step: int
    ) -> bytearray:
        from rich.console import Console
        from rich.progress import track

        out = bytearray()
        for start in track(range(0, len(texts), step), description="encode", console=Console(stderr=True)):
            try:
                out += self._encode(texts[start : start + step], dim, normalize, max_length)
            except InputError as error:
                raise error.moved(start) from None
        return out

    def _bad_row(self, texts: Sequence[str], number: int, limit: int) -> SseError:
        """The sentence for a vector that is not finite: which token it comes from."""
        from sse.edge.rows import first_not_finite

        path = self._files.table.path
        token = first_not_finite(self._files, sorted(set(self._tier.ids(texts[number], limit))))
        if token is None:
            return SseError(f"{path}: text {number} gives values that are not finite")
        return SseError(f"{path}: row {token} of the table is not finite")

    def _prompt(self, prompt_name: str | None, prompt: str | None) -> str:
        if prompt is not None:
            return prompt
        name = prompt_name or self._files.default_prompt_name
        if name is None:
            return ""
        if name not in self.prompts:
            known = ", ".join(self.prompts) or "none"
            raise InputError(f"the model has no prompt {name!r} (it has: {known})")
        return self.prompts[name]


def _frombuffer(data: bytearray) -> np.ndarray[Any, np.dtype[np.float32]]:
    import numpy as np

    return np.frombuffer(data, np.float32)


def _reopen(directory: str, dim: int, backend: str, threads: int | None) -> Encoder:
    return Encoder(read_model(Path(directory)), dim, backend, threads)
