"""A Hub id with its revision in one word; a path is left alone."""

import pytest

from sse.errors import SseError
from sse.hub_name import split_revision


@pytest.mark.parametrize(
    ("name", "revision", "expected"),
    [
        ("owner/name@v1", None, ("owner/name", "v1")),
        ("owner/name@refs/pr/3", None, ("owner/name", "refs/pr/3")),
        ("owner/name@v1", "v1", ("owner/name", "v1")),
        ("bert-base-uncased@main", None, ("bert-base-uncased", "main")),
        ("owner/name", "v2", ("owner/name", "v2")),
        ("owner/name@", None, ("owner/name@", None)),
        ("runs/a/b@v1", None, ("runs/a/b@v1", None)),
        ("./b@v1", None, ("./b@v1", None)),
        ("/models/b@v1", "v2", ("/models/b@v1", "v2")),
    ],
)
def test_split_revision(name, revision, expected):
    assert split_revision(name, revision) == expected


def test_a_path_that_exists_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "runs" / "model@2").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert split_revision("runs/model@2") == ("runs/model@2", None)


def test_two_revisions_are_refused():
    with pytest.raises(SseError, match="owner/name@v1: the revision v2 was given too"):
        split_revision("owner/name@v1", "v2")
