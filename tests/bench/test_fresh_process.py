"""Fresh processes: stages, memory, and what is said when one stops."""

import sys

import pytest

from sse.bench.cold_start import measure_cold_start
from sse.bench.fresh_process import FreshProcess
from sse.bench.memory import measure_peak_memory
from sse.bench.methods import Method
from sse.errors import SseError

NOTHING = "encode = lambda texts: None\n"


def method(name: str, source: str, **kwargs) -> Method:
    return Method(name, lambda threads: pytest.fail("is not loaded here"), source, **kwargs)


def test_stages_come_in_order_and_other_output_is_passed_over():
    with FreshProcess("print('noise')\nstage()\nimport numpy\nstage()\n", "x") as process:
        first = process.wait_for_stage()
        process.go_on()
        second = process.wait_for_stage()
        assert second.time > first.time
        assert (first.has_numpy, second.has_numpy) == (False, True)
        assert 1 < process.resident().rss_mb < 1000


def test_a_process_that_stops_is_named_with_its_last_line():
    with (
        FreshProcess("raise ValueError('no such table')", "int8 native") as process,
        pytest.raises(SseError, match=r"^int8 native: .* stopped: ValueError: no such table$"),
    ):
        process.wait_for_stage()


def test_the_native_path_alone_may_not_import_numpy():
    measure_cold_start([method("alone", NOTHING, without_numpy=True)], 1)
    with pytest.raises(SseError, match="alone: numpy was imported"):
        measure_cold_start([method("alone", "import numpy\n" + NOTHING, without_numpy=True)], 1)


def test_cold_starts_are_counted_without_the_first_and_set_beside_the_peers(tmp_path):
    log = tmp_path / "log"
    source = f"open({str(log)!r}, 'a').write('x')\n" + NOTHING
    large = f"block = bytearray(200_000_000)\nblock[::4096] = b'x' * len(block[::4096])\n{source}"
    rows = measure_cold_start([method("ours", source), method("peer", large, is_peer=True)], 2)
    assert [row.method for row in rows] == ["ours", "peer"]
    assert log.read_text() == "x" * 2 * 3
    assert rows[1].rss_mb > 200
    assert rows[0].times_less_memory["peer"].median == pytest.approx(rows[1].rss_mb / rows[0].rss_mb, rel=0.2)
    assert rows[1].times_peer == {}
    assert rows[0].milliseconds.median > 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be set back")
def test_peak_memory_is_of_the_call_and_not_of_what_was_before(tmp_path):
    file = tmp_path / "long.txt"
    file.write_text("a " * 20_000)
    greedy = """
before = bytearray(b"x") * 300_000_000
del before
def encode(texts):
    if len(texts[0]) > 20_000:
        bytearray(b"x") * 100_000_000
"""
    modest, grown = measure_peak_memory({"modest": NOTHING, "greedy": greedy}, file)
    assert modest.growth_mb < 5
    assert 90 < grown.growth_mb < 120
    assert grown.text_mb == 0.04
