"""LangChain's own tests of an embedding model, for its own class over both kinds of exported directory."""

from typing import Any

import pytest

needed = "pip install 'stable-static-embedding[integrations]'"
langchain_huggingface = pytest.importorskip(
    "langchain_huggingface", reason=f"needs langchain-huggingface: {needed}"
)
pytest.importorskip("langchain_tests", reason=f"needs langchain-tests: {needed}")

from langchain_tests.integration_tests import EmbeddingsIntegrationTests  # noqa: E402
from langchain_tests.unit_tests import EmbeddingsUnitTests  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio,  # some of theirs are, and they may not be marked one by one
    pytest.mark.filterwarnings("ignore:.*is marked with '@pytest.mark.asyncio' but it is not"),
]


class Exported:
    """With the flag."""

    @pytest.fixture(autouse=True)
    def _load(self, exported) -> None:
        self.options = {"model_name": str(exported), "model_kwargs": {"trust_remote_code": True}}

    @property
    def embeddings_class(self) -> type[Any]:
        return langchain_huggingface.HuggingFaceEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self.options


class Plain(Exported):
    """The plain twin, without it."""

    @pytest.fixture(autouse=True)
    def _load(self, plain) -> None:
        self.options = {"model_name": str(plain)}


class TestExportedUnit(Exported, EmbeddingsUnitTests):
    pass


class TestExportedIntegration(Exported, EmbeddingsIntegrationTests):
    pass


class TestPlainUnit(Plain, EmbeddingsUnitTests):
    pass


class TestPlainIntegration(Plain, EmbeddingsIntegrationTests):
    pass
