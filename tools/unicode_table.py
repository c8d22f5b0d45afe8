"""Write ``sse/edge/unicode.bin``: what each code point becomes in BERT-uncased normalisation and pre-tokenisation.

The table is measured, not transcribed: every code point goes through the reference normaliser of ``tokenizers``, and
its output characters are told apart by how the reference pre-tokenizer splits ``a<character>a``. The layout is in
``sse/edge/native/unicode.h``. The one thing that a table by code points cannot hold is the reordering of combining
characters; ``sse/edge/wordpiece.py`` refuses a vocabulary for which that would matter.

    python tools/unicode_table.py [FILE]
"""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

WORD, SPACE, PUNCT, DROP, MAPPED = range(5)
OUTPUT = Path(__file__).resolve().parents[1] / "sse" / "edge" / "unicode.bin"


def build() -> bytes:
    """Measure the table; about ten seconds."""
    normalize = BertNormalizer(lowercase=True).normalize_str
    split = BertPreTokenizer().pre_tokenize_str
    classes: dict[str, int] = {}

    def kind(char: str) -> int:
        if char not in classes:
            classes[char] = len(split(f"a{char}a")) - 1  # 1 piece: of a word; 2: white space; 3: on its own
        return classes[char]

    pages: dict[bytes, int] = {}
    pool: list[int] = []
    places: dict[tuple[int, ...], int] = {}
    index = array("H")
    for page in range(0x1100):
        entries = array("I")
        for code in range(page << 8, (page << 8) + 256):
            if 0xD800 <= code <= 0xDFFF:
                entries.append(DROP)
                continue
            char = chr(code)
            out = normalize(char)
            if not out:
                entries.append(DROP)
            elif out == char:
                entries.append(kind(char))
            elif len(out) == 1 and kind(out) == SPACE:
                entries.append(SPACE)
            elif out == f" {char} ":
                entries.append(PUNCT)
            else:
                record = tuple(kind(piece) << 24 | ord(piece) for piece in out)
                if record not in places:
                    places[record] = len(pool)
                    pool += [len(record), *record]
                entries.append(MAPPED | places[record] << 3)
        index.append(pages.setdefault(entries.tobytes(), len(pages)))
    head = b"SSEU" + struct.pack("<III", 1, len(pages), len(pool))
    return head + index.tobytes() + b"".join(pages) + array("I", pool).tobytes()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    target.write_bytes(build())
    print(f"{target}: {target.stat().st_size} bytes")  # noqa: T201
