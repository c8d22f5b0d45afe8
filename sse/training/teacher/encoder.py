"""From texts to a teacher's vectors: through each model in chunks, then side by side into two arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from sse.errors import SseError
from sse.files import staged_file
from sse.modeling import load_model
from sse.training.data.cache import cached
from sse.training.data.sources import LoadedSource
from sse.training.recipe_parts import TeacherPart
from sse.training.teacher.fusion import Fusion, fuse, report_fusion

COLUMNS = ("anchor", "positive")

# Rows: many, since texts are sorted by length inside a chunk; few, since a killed run loses the one it is at.
CHUNK = 4096
CPU_BATCH, GPU_BATCH = 32, 256

# Epochs: the principal axes that a fusion starts at were not bettered by training, which takes minutes.
FIT_VECTORS, HELD_VECTORS, FIT_EPOCHS = 50_000, 2000, 0


def identity(name: str) -> Any:
    """What tells one model from another: a Hub id, or the names, sizes and times of a directory's files."""
    root = Path(name)
    if not root.is_dir():
        return name
    files = [(file.relative_to(root).as_posix(), file.stat()) for file in root.rglob("*") if file.is_file()]
    return sorted((file, stat.st_size, stat.st_mtime_ns) for file, stat in files)


def digest_of(loaded: list[LoadedSource]) -> str:
    """A hash of all anchors and positives in their order; the same on any machine."""
    digest = sha256()
    for chunk in _chunks(loaded):
        for pair in zip(*(chunk[column] for column in COLUMNS), strict=True):
            digest.update(repr(pair).encode("utf-8"))
    return digest.hexdigest()


def make_vectors(
    loaded: list[LoadedSource], part: TeacherPart, seed: int, directory: Path, show_progress: bool = False
) -> dict[str, Any]:
    """Write ``anchors.npy`` and ``positives.npy``, float16 (rows, width), each vector of length 1.

    Each chunk of a model is kept in the cache by what its texts are, so a run that was killed goes on from
    its last whole chunk, and a model added later costs its own time only.

    Args:
        loaded: Sources with the columns anchor and positive.
        part: Models, what they read at most, and the dims to compress to.
        seed: Of the compression.
        directory: Exists, and is empty.
        show_progress: Progress bar on standard error.

    Returns:
        By ``"fusion"`` how well the compression keeps cosines at each dim (see ``report_fusion``), if there
        is one and there were vectors enough to hold some back.

    Raises:
        SseError: A model cannot be loaded, or its vectors are not finite.
    """
    files = _encode(loaded, part, show_progress)
    long = [directory / f"{column}s.npy" for column in COLUMNS]
    for column, file in zip(COLUMNS, long, strict=True):
        _join(files[column], file)
    if part.fusion_dim is None:
        return {}
    fusion, report = _fit(long, part.fusion_dim, seed)
    for file in long:
        with staged_file(file) as short:
            _compress(file, fusion, short)
    return {"fusion": report} if report else {}


def encode_texts(
    name: str,
    texts: list[str],
    max_tokens: int,
    show_progress: bool = False,
    *,
    key: str = "teacher.models",
) -> np.ndarray:
    """A model's vectors of texts, without prompts; each chunk is kept in the cache.

    Args:
        name: Directory or Hub id of the model.
        texts: What it reads.
        max_tokens: It reads no more of a text.
        show_progress: Progress bar on standard error.
        key: Of the recipe that names the model, for messages.

    Returns:
        Vectors of length 1, float32 (texts, width).

    Raises:
        SseError: The model cannot be loaded, or its vectors are not finite.
    """
    model, who, chunks = None, identity(name), []
    starts = range(0, len(texts), CHUNK)
    for start in tqdm(starts, unit="chunk", file=sys.stderr, dynamic_ncols=True, disable=not show_progress):
        chunk = texts[start : start + CHUNK]
        file = cached("teacher", ".npy", who, "text", max_tokens, chunk)
        if not file.is_file():
            model = model or _load(name, max_tokens, key)
            _keep(f"{key}: {name}", _vectors(model, "text", chunk), file)
        chunks.append(np.load(file))
    return unit_length(np.concatenate(chunks).astype(np.float32))


def _keep(what: str, vectors: np.ndarray, file: Path) -> None:
    if not np.isfinite(vectors).all():
        raise SseError(f"{what}: gives vectors that are not finite")
    with staged_file(file) as staged:
        np.save(staged, unit_length(vectors).astype(np.float16))


def _chunks(loaded: list[LoadedSource]) -> Iterator[dict[str, list[str]]]:
    """Texts by column, up to ``CHUNK`` rows at a time, in the order of the row numbers."""
    for item in loaded:
        for start in range(0, len(item.rows), CHUNK):
            yield item.rows[start : start + CHUNK]


def _encode(
    loaded: list[LoadedSource], part: TeacherPart, show_progress: bool
) -> dict[str, list[list[Path]]]:
    """For each column and each model the files of its chunks."""
    files: dict[str, list[list[Path]]] = {column: [] for column in COLUMNS}
    total = len(part.models) * len(COLUMNS) * sum(len(item.rows) for item in loaded)
    with tqdm(
        total=total, unit="text", file=sys.stderr, dynamic_ncols=True, disable=not show_progress
    ) as bar:
        for name in part.models:
            model, who = None, identity(name)
            for column in COLUMNS:
                files[column].append([])
            for chunk in _chunks(loaded):
                for column in COLUMNS:
                    file = cached("teacher", ".npy", who, column, part.max_tokens, chunk[column])
                    if not file.is_file():
                        model = model or _load(name, part.max_tokens)
                        _keep(f"teacher.models: {name}", _vectors(model, column, chunk[column]), file)
                    files[column][-1].append(file)
                    bar.update(len(chunk[column]))
    return files


def _load(name: str, max_tokens: int, key: str = "teacher.models") -> SentenceTransformer:
    """A model on the GPU if there is one, a transformer in bfloat16 on hardware that has it."""
    try:
        model = load_model(name)
    except SseError as error:
        raise SseError(f"{key}: {error}") from error
    cuda = torch.cuda.is_available()
    if cuda:
        model.to("cuda")
    if not hasattr(model[0], "auto_model"):
        return model
    model.max_seq_length = min(model.max_seq_length or max_tokens, max_tokens)
    if torch.cuda.is_bf16_supported() if cuda else _cpu_has_bfloat16():
        for weight in model.parameters():  # not buffers: the frequencies of rotary positions need float32
            weight.data = weight.data.to(torch.bfloat16)
    return model


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 itself; where torch does it in float32 instead it is slower."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return asked is not None and bool(asked())


def _vectors(model: SentenceTransformer, column: str, texts: list[str]) -> np.ndarray:
    """Vectors float32 (texts, width); a text that comes twice is read once."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    encode = {"anchor": model.encode_query, "positive": model.encode_document}.get(column, model.encode)
    batch = CPU_BATCH if model.device.type == "cpu" else GPU_BATCH
    vectors = encode(list(places), batch_size=batch, show_progress_bar=False, convert_to_numpy=True)
    found: np.ndarray = np.asarray(vectors, np.float32)[[places[text] for text in texts]]
    return found


def _join(files: list[list[Path]], out: Path) -> None:
    """Lay the models of a column side by side, each chunk behind the one before."""
    chunks = [[np.load(file, mmap_mode="r") for file in models] for models in zip(*files, strict=True)]
    rows, width = sum(len(chunk[0]) for chunk in chunks), sum(member.shape[1] for member in chunks[0])
    array = np.lib.format.open_memmap(out, "w+", np.float16, (rows, width))
    start = 0
    for chunk in chunks:
        members = [unit_length(member.astype(np.float32)) for member in chunk]
        array[start : start + len(members[0])] = unit_length(np.hstack(members))
        start += len(members[0])
    array.flush()


def _fit(long: list[Path], dim: int, seed: int) -> tuple[Fusion, dict[int, float]]:
    """Fit the compression on vectors of both columns, drawn at random, and try it on others."""
    columns = [np.load(file, mmap_mode="r") for file in long]
    rows = len(columns[0])
    drawn = np.random.default_rng(seed).permutation(2 * rows)[: FIT_VECTORS + HELD_VECTORS]
    held = min(HELD_VECTORS, len(drawn) // 10)
    vectors = np.empty((len(drawn), columns[0].shape[1]), np.float32)
    for number, column in enumerate(columns):
        mine = drawn // rows == number
        vectors[mine] = column[drawn[mine] % rows]
    fusion = fuse(unit_length(vectors[held:]), dim, epochs=FIT_EPOCHS, seed=seed)
    return fusion, report_fusion(fusion, unit_length(vectors[:held])) if held > 1 else {}


def _compress(long: Path, fusion: Fusion, out: Path) -> None:
    vectors = np.load(long, mmap_mode="r")
    array = np.lib.format.open_memmap(out, "w+", np.float16, (len(vectors), fusion.dim))
    for start in range(0, len(vectors), CHUNK):
        part = unit_length(vectors[start : start + CHUNK].astype(np.float32))
        array[start : start + CHUNK] = fusion.transform(part)
    array.flush()


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Divide float32 vectors (n, width) by their lengths; zero stays zero."""
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
