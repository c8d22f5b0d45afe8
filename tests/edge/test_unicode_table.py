import importlib.util
import unicodedata

import pytest
from tokenizers.normalizers import BertNormalizer

from sse.edge.tokenizer_file import REORDERED
from sse.edge.wordpiece import unicode_table
from tests.conftest import ROOT


@pytest.mark.slow
def test_the_table_is_what_the_reference_does_today():
    spec = importlib.util.spec_from_file_location("unicode_table", ROOT / "tools" / "unicode_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.build() == unicode_table()


def test_the_characters_that_are_reordered_are_all_known():
    normalize = BertNormalizer(lowercase=True).normalize_str
    codes = (c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)
    kept = [c for c in map(chr, codes) if unicodedata.combining(c) and normalize("a" + c) != "a"]
    alone = {c: normalize("a" + c)[1:] for c in kept}
    found = {
        c for a in kept for b in kept if normalize(f"a{a}{b}b") != f"a{alone[a]}{alone[b]}b" for c in (a, b)
    }
    assert found <= REORDERED
