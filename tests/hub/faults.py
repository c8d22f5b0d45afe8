"""Faults of a server: an error in place of an answer, a line that is cut, an answer that never comes."""

import re
from dataclasses import dataclass, field
from threading import Barrier

HALF = "half"  # reads half of the body, then cuts the line
LOST = "lost"  # does what was asked, then cuts the line
SHORT = "short"  # sends half of the answer's body, then cuts the line
SILENT = "silent"  # never answers


@dataclass
class Fault:
    """What happens to requests whose ``"METHOD /path?query"`` matches."""

    pattern: str
    what: str | int | Barrier
    """A status; HALF, LOST, SHORT or SILENT; or a barrier, at which requests wait for each other to be served."""
    message: str = ""
    times: int = 10**9
    """So many requests; those after them are served."""
    met: int = field(default=0, init=False)

    def hits(self, request: str) -> bool:
        """Whether this request is to fail."""
        if not re.search(self.pattern, request) or self.met >= self.times:
            return False
        self.met += 1
        return True
