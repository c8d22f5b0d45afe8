"""Write passages.json for the page: docstrings of the standard library of the Python that runs this."""

import json
from pathlib import Path

from sse.docstrings import docstring_pairs

pairs = docstring_pairs(2000)[::5]  # from many modules
passages = [{"title": pair.anchor, "text": pair.positive} for pair in pairs]
Path(__file__).with_name("passages.json").write_text(
    json.dumps(passages, ensure_ascii=False), encoding="utf-8"
)
print(f"{len(passages)} passages")
