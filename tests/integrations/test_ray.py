"""A folder is encoded on a cluster of two nodes; a worker or a node is killed, and nothing is lost or doubled."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sse.edge import Encoder
from sse.encode_folder import encode_folder
from sse.errors import SseError
from tests.integrations.gated import Gated

ray = pytest.importorskip("ray", reason="needs ray: pip install 'stable-static-embedding[ray]'")
pytest.importorskip("ray.data", reason="needs ray: pip install 'stable-static-embedding[ray]'")

FILES, ROWS = 8, 50


def texts_of(number: int) -> list[str]:
    return [f"passage {row} of file {number} about a planet" if row % 9 else "" for row in range(ROWS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(FILES):
        path = tmp_path / "texts" / f"part={number % 2}" / f"{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": range(ROWS), "text": texts_of(number)}), path)
    return tmp_path / "texts"


@pytest.fixture
def cluster():
    """Two nodes of one core each, as processes of this machine; this process is connected to the first."""
    from ray.cluster_utils import Cluster

    sizes = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**sizes, "include_dashboard": False})
    try:
        cluster.second = cluster.add_node(**sizes)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def check(folder: Path, output: Path, encoder: Encoder) -> None:
    """Every row is there once, in its place, with the vector that one encoder gives."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*.*")) == names
    for name in names:
        column = pq.read_table(output / name)["embedding"].combine_chunks()
        vectors = column.values.to_numpy().reshape(len(column), -1)
        np.testing.assert_array_equal(vectors, encoder.encode_document(texts_of(int(Path(name).stem))))
    assert [path.name for path in output.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["worker", "node"])
def test_all_rows_are_there_once_when_a_worker_is_killed(cluster, folder, tmp_path, exported, killed):
    gate, output = tmp_path / "gate", tmp_path / "out"
    gate.mkdir()
    second = cluster.second.node_id
    results = []
    run = threading.Thread(
        target=lambda: results.append(encode_folder(Gated(exported, gate), folder, output, engine="ray")),
        daemon=True,
    )
    run.start()
    deadline = time.monotonic() + 600
    while len(waiting := [path for path in gate.iterdir() if path.name.isdigit()]) < 2:
        assert run.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    nodes = {path.read_text(): int(path.name) for path in waiting}
    assert second in nodes  # each node has a worker, and each is within its second file
    if killed == "node":
        cluster.remove_node(cluster.second, allow_graceful=False)
    else:
        os.kill(nodes[second], signal.SIGKILL)
    (gate / "open").touch()
    run.join(600)
    assert not run.is_alive()
    assert (results[0].files, results[0].rows, results[0].resumed_rows) == (FILES, FILES * ROWS, 0)
    check(folder, output, Encoder.from_pretrained(exported))


@pytest.mark.slow
def test_mistakes_of_workers_are_one_sentence_and_the_run_goes_on(folder, tmp_path, exported):
    """With no cluster at hand, one is started on this machine and stopped again."""
    encoder = Encoder.from_pretrained(exported, threads=1)
    broken = folder / "part=1" / "7.parquet"
    whole = broken.read_bytes()
    broken.write_bytes(b"PAR1")
    with pytest.raises(SseError, match=r"7\.parquet: not a Parquet file") as caught:
        encode_folder(encoder, folder, tmp_path / "out", engine="ray", workers=1)
    assert "\n" not in str(caught.value)
    assert not ray.is_initialized()
    broken.write_bytes(whole)
    done = encode_folder(encoder, folder, tmp_path / "out", engine="ray", workers=2)
    assert done.rows == FILES * ROWS
    assert done.resumed_rows % ROWS == 0
    assert done.resumed_rows > 0
    check(folder, tmp_path / "out", encoder)


@pytest.mark.slow
def test_a_cluster_that_cannot_be_reached_is_one_sentence(folder, tmp_path, exported, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(SseError, match="Ray cannot be reached or started: ") as caught:
        encode_folder(Encoder.from_pretrained(exported), folder, tmp_path / "out", engine="ray")
    assert "\n" not in str(caught.value)
    assert not ray.is_initialized()
