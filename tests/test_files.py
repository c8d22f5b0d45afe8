"""Files and directories appear whole or not at all."""

import pytest

from sse.files import move_into, staged_directory, staged_file, write_json


def names(path):
    return sorted(entry.name for entry in path.iterdir())


def test_a_file_replaces_the_old_one_when_it_is_done(tmp_path):
    target = tmp_path / "deep" / "a.png"
    with staged_file(target) as part:
        assert part.suffix == ".png"
        part.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.png"]


def test_a_failure_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})
    before = target.read_bytes()
    with pytest.raises(ZeroDivisionError), staged_file(target) as part:
        part.write_text(f"half {1 / 0}")
    assert target.read_bytes() == before
    assert names(tmp_path) == ["a.json"]


def test_files_have_ordinary_permissions(tmp_path):
    write_json(tmp_path / "a.json", 1)
    (tmp_path / "b.json").write_text("1")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_a_directory_replaces_the_old_one_when_it_is_done(tmp_path):
    target = tmp_path / "d"
    for content in ("old", "new"):
        with staged_directory(target) as part:
            (part / content).write_text(content)
    assert names(target) == ["new"]
    with pytest.raises(ZeroDivisionError), staged_directory(target) as part:
        (part / "half").write_text(f"{1 / 0}")
    assert names(target) == ["new"]
    assert names(tmp_path) == ["d"]


def test_moving_into_a_directory_keeps_its_other_files(tmp_path):
    part, target = tmp_path / "part", tmp_path / "target"
    (part / "sub").mkdir(parents=True)
    (part / "a").write_text("new")
    (part / "sub" / "b").write_text("new")
    (target / "sub").mkdir(parents=True)
    (target / "a").write_text("old")
    (target / "mine").write_text("mine")
    move_into(part, target, last="a")
    assert names(target) == ["a", "mine", "sub"]
    assert (target / "a").read_text() == "new"
    assert names(target / "sub") == ["b"]
