"""What ``Encoder`` accepts: each argument that is out of range is named in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sse.errors import InputError


def as_list(texts: Any) -> list[str]:
    """The texts of anything that gives them one by one; bytes and mappings do not."""
    if isinstance(texts, (bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
        raise InputError(f"texts must be a string or a sequence of strings, not {type(texts).__name__}")
    return list(texts)


def checked_texts(texts: Sequence[str]) -> Sequence[str]:
    """The same texts, all of them strings that UTF-8 can hold; the first that is not is named by its row."""
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError("text {row} must be a string, not " + type(text).__name__, number)
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise InputError(
                    f"text {{row}} holds a lone surrogate at character {error.start} and is not valid Unicode",
                    number,
                ) from None
    return texts


def checked_dim(dim: int | None, largest: int) -> int:
    """How many dimensions to give; by default all there are."""
    if dim is None:
        return largest
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= largest:
        raise InputError(f"dim must be from 1 to {largest}, not {dim!r}")
    return dim


def token_limit(max_length: int | None) -> int:
    """How many tokens of a text to use; 0 means all of them."""
    if max_length is None:
        return 0
    if isinstance(max_length, bool) or not isinstance(max_length, int) or not 0 < max_length < 1 << 62:
        raise InputError(f"max_length must be a positive whole number of tokens, not {max_length!r}")
    return max_length


def thread_limit(threads: int | None) -> int | None:
    """How many threads were asked for, if any number was."""
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise InputError(f"threads must be a positive whole number, not {threads!r}")
    return threads


def check_options(
    output_value: str,
    convert_to_numpy: bool,
    convert_to_tensor: bool,
    device: str | None,
    batch_size: int | None,
) -> None:
    """Refuse what sentence-transformers can do and this encoder cannot."""
    if output_value != "sentence_embedding" or convert_to_tensor or not convert_to_numpy:
        raise InputError("this encoder gives sentence embeddings as a numpy array, nothing else")
    if device not in (None, "cpu"):
        raise InputError(f"this encoder runs on the CPU, not on {device!r}")
    if batch_size is not None and not (type(batch_size) is int and batch_size > 0):
        raise InputError(f"batch_size must be a positive whole number, not {batch_size!r}")
