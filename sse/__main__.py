"""``python -m sse`` is the command ``sse``, for torchrun and the like."""

from sse.cli import main

main()
