"""semhash finds near-duplicates with Encoder as its model. python examples/semhash_duplicates.py MODEL [FILE].

pip install stable-static-embedding semhash
"""

import sys
from pathlib import Path

from semhash import SemHash

from sse import Encoder

encoder = Encoder.from_pretrained(sys.argv[1])
file = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("passages.txt")
passages = file.read_text(encoding="utf-8").splitlines()
if len(sys.argv) <= 2:  # something to be found
    passages.append("Jupiter is the largest of the planets and has a storm wider than the Earth.")

result = SemHash.from_records(passages, model=encoder).self_deduplicate(threshold=0.9)

print(f"{len(result.selected)} of {len(passages)} are kept")
for found in result.filtered:
    print(f"{found.score:.3f}  {found.record}\n       {found.duplicate_of}")
