"""Models that come inside this package, as directories under ``sse/models``: found by name, without the network.

On the way of every cold start, so it imports next to nothing. Not here: reading a model (``sse.edge``,
``sse.modeling``).
"""

from __future__ import annotations

from pathlib import Path

from sse.errors import SseError

MODELS = Path(__file__).parent / "models"
SHIPPED = ("sse-en-small",)
DEFAULT = SHIPPED[0]
FILES = (
    "beside.json",
    "config.json",
    "config_sentence_transformers.json",
    "golden.json",
    "model.safetensors",
    "modules.json",
    "results.json",
    "tokenizer.json",
)
"""What the directory of a shipped model holds; modeling_sse.py and the card are elsewhere in this repository."""


def shipped_model(name: str = DEFAULT) -> Path:
    """The directory of a model that comes inside this package.

    Raises:
        SseError: There is no model of this name, or this package was built without it.
    """
    if name not in SHIPPED:
        raise SseError(f"{name}: no model of this name comes with the package (it has: {', '.join(SHIPPED)})")
    if not has_shipped(name):
        raise SseError(f"{name}: this package was built without the model; give a directory or a Hub id")
    return MODELS / name


def has_shipped(name: str = DEFAULT) -> bool:
    """Whether this package was built with the model."""
    return (MODELS / name / "model.safetensors").is_file()


def is_shipped(directory: Path) -> bool:
    """Whether this is the directory of a model inside this package."""
    return directory.resolve().parent == MODELS.resolve()


def resolve(name: str | Path) -> str | Path:
    """The directory of a shipped model for its name; any other name, or that of a directory here, as it is.

    Raises:
        SseError: It is the name of a shipped model, and this package was built without it.
    """
    return shipped_model(str(name)) if str(name) in SHIPPED and not Path(name).is_dir() else name
