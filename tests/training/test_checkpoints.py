"""Which checkpoints count, and which are deleted when."""

from sse.training.checkpoints import complete_checkpoints, mark_complete, remove_incomplete, rotate


def make(directory, steps, complete=True):
    for step in steps:
        path = directory / f"checkpoint-{step}"
        path.mkdir(parents=True)
        (path / "model.safetensors").write_bytes(b"weights")
        if complete:
            mark_complete(path)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_only_marked_ones_count_and_order_is_by_step(tmp_path):
    make(tmp_path, [1000, 200])
    make(tmp_path, [3000], complete=False)
    (tmp_path / "checkpoint-last").mkdir()
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-200", "checkpoint-1000"]


def test_half_written_ones_are_removed_and_nothing_else(tmp_path):
    make(tmp_path, [200])
    make(tmp_path, [400], complete=False)
    (tmp_path / "checkpoint-mine").mkdir()
    remove_incomplete(tmp_path)
    assert names(tmp_path) == ["checkpoint-200", "checkpoint-mine"]


def test_rotation_keeps_the_newest_and_the_best(tmp_path):
    make(tmp_path, [1, 2, 3, 4, 5])
    rotate(tmp_path, keep=2, best=tmp_path / "checkpoint-2")
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4", "checkpoint-5"]


def test_rotation_never_counts_half_written_ones(tmp_path):
    make(tmp_path, [1, 2])
    make(tmp_path, [3, 4], complete=False)
    rotate(tmp_path, keep=2)
    assert [path.name for path in complete_checkpoints(tmp_path)] == ["checkpoint-1", "checkpoint-2"]
