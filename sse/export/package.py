"""``export``: a trained model becomes the directory that people load, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

from sse.errors import SseError
from sse.export.card import render_card
from sse.export.golden import golden
from sse.export.quantize import QuantizedTable, TableType, quantize
from sse.files import staged_directory
from sse.modeling import SSE, build_model, load_model, write_model, write_plain_twin

RESULTS = "results.json"


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


def export(
    model: SentenceTransformer | str | Path,
    directory: str | Path,
    *,
    table: TableType = "f32",
    plain: bool = False,
    results: Mapping[str, Any] | str | Path | None = None,
    name: str | None = None,
    dim: int | None = None,
) -> Export:
    """Write the directory that ``SentenceTransformer(directory, trust_remote_code=True)`` loads anywhere.

    Args:
        model: A trained model, or its directory or Hub id.
        directory: Where to; replaced only if it is empty or an earlier export.
        table: How the table is stored. A quantised one is read back as float32 by the torch module.
        plain: Write the plain twin instead: built-in modules, no remote code, no flag, float32 only.
        dim: Keep only the first ``dim`` columns: a smaller file for those who cut every vector to this length.
        results: Measured results (results.json or its content) for the card; by default those that lie in the
            model's directory, if there are any.
        name: Name of the model in the card, a Hub id for example; the directory's name by default.

    Raises:
        SseError: The model is not an SSE, the directory holds something else, or an option does not fit.
    """
    directory = Path(directory)
    _refuse_foreign(directory)
    if plain and table != "f32":
        raise SseError(f"the plain twin stores its table as f32, not as {table}")
    measured = _find_results(model, results)
    if not isinstance(model, SentenceTransformer):
        model = load_model(model)
    if len(model) != 1 or not isinstance(module := model[0], SSE):
        raise SseError("only a model whose one module is SSE can be exported")
    if dim is not None:
        module = _cut(module, dim)
        prompts = {
            "query_prompt": model.prompts.get("query", ""),
            "document_prompt": model.prompts.get("document", ""),
        }
        model = build_model(module, **prompts)
    try:
        stored = quantize(module.embedding.weight.detach(), table, module.dyt)
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
        if measured is not None:
            _write_json(part / RESULTS, measured)
        card = render_card(
            module, name=name or directory.resolve().name, results=measured, table=stored.layout, plain=plain
        )
        (part / "README.md").write_text(card, encoding="utf-8")
    return Export(directory, stored.layout, stored.bytes, stored.cosine, stored.alternatives)


def _cut(module: SSE, dim: int) -> SSE:
    width = module.get_embedding_dimension()
    if not 1 <= dim <= width:
        raise SseError(f"dim must be from 1 to {width}, not {dim}")
    cut = SSE(
        module.tokenizer,
        weights=module.embedding.weight.detach()[:, :dim],
        max_seq_length=module.max_seq_length,
        empty_text=module.empty_text,
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


def _find_results(model: Any, results: Mapping[str, Any] | str | Path | None) -> dict[str, Any] | None:
    if isinstance(results, Mapping):
        return dict(results)
    if results is None:
        if isinstance(model, SentenceTransformer):
            return None
        places = [Path(model) / RESULTS, Path(model) / "eval" / RESULTS]
        found = [place for place in places if place.is_file()]
        if not found:
            return None
        path = found[0]
    else:
        path = Path(results)
        path = path / RESULTS if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SseError(f"{path}: not a results file: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != 1 or not content.get("sets"):
        raise SseError(f"{path}: not a results file of schema 1")
    return content


def _store_table(part: Path, module: SSE, stored: QuantizedTable, table: str) -> None:
    dyt = {f"dyt.{name}": value.detach().contiguous() for name, value in module.dyt.named_parameters()}
    save_file({**stored.tensors, **dyt}, part / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    _write_json(part / "config.json", {**config, "table": table, "table_layout": stored.layout})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
