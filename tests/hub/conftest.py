"""The Hub on loopback, and this process as its client."""

import pytest

from sse.export import export
from tests.hub.server import copy_of


@pytest.fixture(scope="session")
def exported(bert_tokenizer, tmp_path_factory):
    """An export with results, as it is published."""
    import torch

    from sse.modeling import SSE, build_model
    from tests.small_results import TRAINING, report

    torch.manual_seed(0)
    module = SSE(bert_tokenizer, 64, matryoshka_dims=[64, 32], training=TRAINING)
    with torch.no_grad():
        module.dyt.bias.uniform_(-0.5, 0.5)
    directory = tmp_path_factory.mktemp("exports") / "model"
    results = report().to_dict()
    return export(build_model(module), directory, results=results, name="us/model").directory


@pytest.fixture
def mine(exported, tmp_path):
    """The same, to change."""
    return copy_of(exported, tmp_path / "mine")


@pytest.fixture
def client(hub, tmp_path, monkeypatch):
    """huggingface_hub of this process talks to the loopback Hub, is logged in, and retries without waiting."""
    from huggingface_hub import constants
    from huggingface_hub.utils import enable_progress_bars

    for name, value in {
        "ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_STORED_TOKENS_PATH": str(tmp_path / "no-tokens"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", "ours")
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    yield hub
    enable_progress_bars()  # the command turned them off
