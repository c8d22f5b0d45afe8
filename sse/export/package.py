"""``export``: a trained model becomes the directory that people load, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from sse.edge.model_file import module_folder, read_model, read_safetensors
from sse.errors import SseError
from sse.export.beside import BESIDE
from sse.export.card import render_card
from sse.export.card_facts import RESULTS, CardFacts, read_results, table_in_words
from sse.export.golden import golden
from sse.export.onnx import require_onnx, write_onnx
from sse.export.quantize import QuantizedTable, TableType, quantize
from sse.files import staged_directory
from sse.modeling import SSE, build_model, load_model, write_model, write_plain_twin
from sse.modeling.modeling_sse import read_table
from sse.shipped import resolve


@dataclass(frozen=True)
class Export:
    """What was written."""

    directory: Path
    table: str
    """The stored form of the table, in words."""
    table_bytes: int
    cosine: float
    """Mean cosine between vectors of the stored table and of the trained one."""
    alternatives: tuple[tuple[str, float], ...] = ()
    """Layouts that were measured and not taken, with their cosines."""
    kept: bool = False
    """The model's own codes and scales were copied, because they are of this kind already."""
    onnx: Mapping[str, int] = field(default_factory=dict)
    """ONNX files and their sizes in bytes."""


def export(
    model: SentenceTransformer | str | Path,
    directory: str | Path,
    *,
    table: TableType = "f32",
    plain: bool = False,
    results: Mapping[str, Any] | str | Path | None = None,
    name: str | None = None,
    dim: int | None = None,
    revision: str | None = None,
    onnx: bool = False,
    onnx_normalize: bool = False,
) -> Export:
    """Write the directory that ``SentenceTransformer(directory, trust_remote_code=True)`` loads anywhere.

    Args:
        model: A trained model, or its directory or Hub id, or ``"sse-en-small"``, the one in this package.
        directory: Where to; replaced only if it is empty or an earlier export.
        table: How the table is stored. A quantised one is read back as float32 by the torch module. A directory
            whose table is of this kind already keeps its codes and scales as they are.
        plain: Write the plain twin instead: built-in modules, no remote code, no flag, float32 only.
        dim: Keep only the first ``dim`` columns: a smaller file for those who cut every vector to this length.
        results: Measured results (results.json or its content) for the card; by default those that lie in the
            model's directory, if there are any.
        name: Name of the model in the card, a Hub id for example; the directory's name by default.
        revision: Branch, tag or commit, where ``model`` is a Hub id.
        onnx: Write ``onnx/model.onnx`` and ``onnx/model_quantized.onnx`` too: the table of this directory as float32
            and as int8, checked with onnxruntime against the torch module.
        onnx_normalize: Their vectors have length 1. By default they do not, as those of the torch module: a vector
            that is cut must be normalised after that.

    Raises:
        SseError: The model is not an SSE, the directory holds something else, or an option does not fit.
    """
    directory = Path(directory)
    _refuse_foreign(directory)
    if plain and table != "f32":
        raise SseError(f"the plain twin stores its table as f32, not as {table}")
    if plain and onnx:
        raise SseError("the plain twin has no ONNX files; export without plain for them")
    if onnx:
        require_onnx()
    if not isinstance(model, SentenceTransformer):
        model = resolve(model)
    source = None if isinstance(model, SentenceTransformer) else Path(model)
    measured = _find_results(source, results)
    if not isinstance(model, SentenceTransformer):
        model = load_model(model, revision=revision)
    if len(model) != 1 or not isinstance(module := model[0], SSE):
        raise SseError("only a model whose one module is SSE can be exported")
    if dim is not None:
        module = _cut(module, dim)
        prompts = {
            "query_prompt": model.prompts.get("query", ""),
            "document_prompt": model.prompts.get("document", ""),
        }
        model = build_model(module, **prompts)
    kept = _stored_as(table, source, module) if source else None
    try:
        stored = kept or quantize(module.embedding.weight.detach(), table, module.dyt)
    except ValueError as error:
        raise SseError(f"{directory}: {error}") from error
    with staged_directory(directory) as part:
        if plain:
            try:
                write_plain_twin(model, part)
            except ValueError as error:
                raise SseError(str(error)) from error
        else:
            write_model(model, part)
            if table != "f32":
                _store_table(part, module, stored, table)
        exported = model if table == "f32" else load_model(part)  # golden.json holds what readers will get
        _write_json(part / "golden.json", golden(exported[0]))
        files: dict[str, int] = {}
        if onnx:
            files = write_onnx(
                part, exported[0], _as_int8(stored, table, exported[0]), normalize=onnx_normalize
            )
        if measured is not None:
            _write_json(part / RESULTS, measured)
            if results is None and source and (source / BESIDE).is_file():
                shutil.copyfile(source / BESIDE, part / BESIDE)
        name = name or directory.resolve().name
        facts = _plain_facts(module, name, measured) if plain else CardFacts.of(part, name)
        (part / "README.md").write_text(render_card(facts), encoding="utf-8")
    return Export(
        directory, stored.layout, stored.bytes, stored.cosine, stored.alternatives, kept is not None, files
    )


def _as_int8(stored: QuantizedTable, table: TableType, exported: SSE) -> Mapping[str, torch.Tensor]:
    """The int8 form of the table that readers of the directory get."""
    if table == "int8":
        return stored.tensors
    return quantize(exported.embedding.weight.detach(), "int8", exported.dyt).tensors


def _stored_as(table: TableType, source: Path, module: SSE) -> QuantizedTable | None:
    """The codes that lie in ``source``, if they are of the kind ``table`` and are those of ``module``."""
    file = module_folder(source) / "model.safetensors" if source.is_dir() else source
    if not file.is_file() or table not in ("int8", "int4"):
        return None
    codes = read_safetensors(file).get("embedding.codes")
    if codes is None or {"I8": "int8", "U8": "int4"}.get(codes.dtype) != table:
        return None
    tensors = {name: value for name, value in load_file(file).items() if name.startswith("embedding.")}
    if not torch.equal(read_table(tensors, str(file)), module.embedding.weight):  # fewer columns, for example
        return None
    return QuantizedTable(tensors, table_in_words(read_model(source).table), 1.0)


def _plain_facts(module: SSE, name: str, results: Mapping[str, Any] | None) -> CardFacts:
    width = module.get_embedding_dimension()
    return CardFacts(
        name,
        width,
        int(module.embedding.num_embeddings),
        "float32",
        dims=tuple(module.matryoshka_dims or [width]),
        max_seq_length=module.max_seq_length,
        training=module.training_facts,
        results=results,
        plain=True,
    )


def _cut(module: SSE, dim: int) -> SSE:
    width = module.get_embedding_dimension()
    if not 1 <= dim <= width:
        raise SseError(f"dim must be from 1 to {width}, not {dim}")
    cut = SSE(
        module.tokenizer,
        weights=module.embedding.weight.detach()[:, :dim],
        max_seq_length=module.max_seq_length,
        empty_text=module.empty_text,
        count_exponent=module.count_exponent,
        matryoshka_dims=[smaller for smaller in module.matryoshka_dims or () if smaller <= dim],
        training=module.training_facts,
    )
    for name, parameter in module.dyt.named_parameters():
        cut.dyt.get_parameter(name).data = parameter.detach()[:dim].clone()
    return cut


def _refuse_foreign(directory: Path) -> None:
    """A directory is replaced only if nothing of somebody else's is lost by it."""
    if directory.is_file():
        raise SseError(f"{directory}: is a file, not a directory")
    if not directory.is_dir() or not any(directory.iterdir()):
        return
    if not (directory / "golden.json").is_file() or (directory / "training").exists():
        raise SseError(f"{directory}: exists and is not an exported model; name another directory")


def _find_results(
    source: Path | None, results: Mapping[str, Any] | str | Path | None
) -> dict[str, Any] | None:
    if isinstance(results, Mapping):
        return dict(results)
    if results is None:
        if source is None:
            return None
        places = [source / RESULTS, source / "eval" / RESULTS]
        found = [place for place in places if place.is_file()]
        if not found:
            return None
        path = found[0]
    else:
        path = Path(results)
        path = path / RESULTS if path.is_dir() else path
    return read_results(path)


def _store_table(part: Path, module: SSE, stored: QuantizedTable, table: str) -> None:
    dyt = {f"dyt.{name}": value.detach().contiguous() for name, value in module.dyt.named_parameters()}
    save_file({**stored.tensors, **dyt}, part / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    _write_json(part / "config.json", {**config, "table": table, "table_layout": stored.layout})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
