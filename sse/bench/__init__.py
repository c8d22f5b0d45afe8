"""Measure how fast a model runs on this machine's CPU, beside the libraries that people would use instead.

Everything is measured in pairs: in each round all methods run on the same texts in turn, a ratio is computed
within the round, and the median of the ratios is reported with its quartiles. Other load on the machine then
meets all methods alike.
"""

from sse.bench.report import BenchReport
from sse.bench.run import bench

__all__ = ["BenchReport", "bench"]
