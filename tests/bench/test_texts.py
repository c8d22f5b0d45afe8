"""The texts: distinct, of the asked length, prose, and the same every time."""

import pytest

from sse.bench import texts
from sse.bench.texts import PASSAGE_WORDS, QUERY_WORDS, cut_texts, long_text, prose_words, words_of_file
from sse.errors import SseError

WORDS = [f"word{n}" for n in range(3000)]


@pytest.mark.parametrize(("count", "lengths", "mean"), [(4096, QUERY_WORDS, 12), (1024, PASSAGE_WORDS, 150)])
def test_texts_are_distinct_and_as_long_as_asked(count, lengths, mean):
    found = cut_texts(WORDS, "texts", count, lengths)
    assert len(found.texts) == len(set(found.texts)) == count
    assert {len(text.split()) for text in found.texts} == set(range(lengths[0], lengths[1] + 1))
    assert abs(found.mean_words - mean) < mean / 20
    assert found.megabytes == sum(len(text) for text in found.texts) / 1e6
    assert found.texts == cut_texts(WORDS, "texts", count, lengths).texts
    first = found.texts[0].split()
    assert first == WORDS[WORDS.index(first[0]) :][: len(first)]


@pytest.mark.parametrize("words", [[], ["same"] * 5000, WORDS[:18]])
def test_too_little_text_is_one_sentence(words):
    with pytest.raises(
        SseError, match=rf"4096 different queries of 6 to 18 words .* text of {len(words)} words"
    ):
        cut_texts(words, "queries", 4096, QUERY_WORDS)


def test_python_brings_prose(monkeypatch):
    monkeypatch.setattr(texts, "DOCSTRINGS", 50)
    words = prose_words()
    assert len(words) > 20_000
    assert "the" in words
    assert not any(">>>" in word or "_" in word for word in words)
    assert len(cut_texts(words, "queries", 512, QUERY_WORDS).texts) == 512


def test_a_file_of_the_user(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("Zwei Wörter\n" + "x" * 61 + " 漢字", encoding="utf-8")
    assert words_of_file(file) == ["Zwei", "Wörter", "漢字"]
    file.write_bytes(b"abc \xff")
    with pytest.raises(SseError, match=r"text\.txt: not UTF-8 text: .* at byte 4"):
        words_of_file(file)


def test_a_long_text_is_as_long_as_asked():
    assert long_text(["one", "two"], 10) == "one two on"
    assert long_text(["é"], 4) == "é "  # the fourth byte is half a character
    with pytest.raises(SseError, match="without words"):
        long_text([], 10)
