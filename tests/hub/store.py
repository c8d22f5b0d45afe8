"""What a Hub keeps: repositories with commits, branches and pull requests, large objects by SHA-256, and tokens.

A commit is made whole or refused whole; nothing else changes a repository. Not here: HTTP (``server.py``).
"""

import hashlib
import threading
from dataclasses import dataclass, field

LARGE = (".safetensors", ".onnx", ".bin", ".png")
"""Files that a new repository's .gitattributes gives to large-file storage."""


class Refusal(Exception):
    """An answer that is not 200, as the Hub gives it: status, ``X-Error-Code`` and ``X-Error-Message``."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class File:
    """Content of a file in a commit."""

    data: bytes
    large: bool = False

    @property
    def git_oid(self) -> str:
        """What git calls the content."""
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def oid(self) -> str:
        """What the Hub compares: SHA-256 of a large file, git's id of another."""
        return hashlib.sha256(self.data).hexdigest() if self.large else self.git_oid


@dataclass(frozen=True)
class Commit:
    """One state of a repository."""

    oid: str
    files: dict[str, File]
    message: str
    parent: str | None = None


@dataclass
class Repo:
    """A model repository."""

    name: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    """``main``, other branches and ``refs/pr/N``, each to a commit."""

    def __post_init__(self) -> None:
        if not self.refs:
            self.add("main", {".gitattributes": File(b"*.safetensors filter=lfs\n")}, "initial commit")

    @property
    def owner(self) -> str:
        """The user or organisation."""
        return self.name.split("/")[0]

    @property
    def pull_requests(self) -> list[str]:
        """Their refs."""
        return [ref for ref in self.refs if ref.startswith("refs/pr/")]

    def at(self, revision: str) -> Commit:
        """The commit of a branch, a pull request or a commit's own id."""
        oid = self.refs.get(revision, revision)
        if oid not in self.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def add(self, ref: str, files: dict[str, File], message: str) -> Commit:
        """Put a commit on top of a ref."""
        parent = self.refs.get(ref)
        what = repr((self.name, ref, parent, message, sorted((p, f.oid) for p, f in files.items())))
        commit = Commit(hashlib.sha1(what.encode()).hexdigest(), files, message, parent)
        self.commits[commit.oid] = commit
        self.refs[ref] = commit.oid
        return commit


@dataclass(frozen=True)
class User:
    """Whose token it is, and whether it may write."""

    name: str
    may_write: bool = True


class Store:
    """Everything, behind one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.tokens = {"ours": User("us"), "reading": User("us", may_write=False), "theirs": User("them")}

    def user(self, token: str | None) -> User | None:
        """Who asks."""
        if token is None:
            return None
        if token not in self.tokens:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.tokens[token]

    def readable(self, name: str, user: User | None) -> Repo:
        """A repository, if it may be seen; otherwise the same answer as for one that is not there."""
        repo = self.repos.get(name)
        if repo is not None and (not repo.private or (user and user.name == repo.owner)):
            return repo
        if user is None:
            raise Refusal(401, "Invalid username or password.", "RepoNotFound")
        raise Refusal(404, "Repository not found", "RepoNotFound")

    def writable(self, name: str, user: User | None) -> Repo:
        """A repository, if it may be written to."""
        repo = self.readable(name, user)
        if user is None or not user.may_write or user.name != repo.owner:
            raise Refusal(403, "You don't have the required permissions to write to this repository")
        return repo

    def create(self, name: str, user: User | None, private: bool) -> Repo:
        """A new repository with its first commit."""
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        if not user.may_write or user.name != name.split("/")[0]:
            raise Refusal(403, f"You don't have the rights to create a model under the namespace {name!r}")
        if name in self.repos:
            raise Refusal(409, "You already created this model repo")
        self.repos[name] = Repo(name, private)
        return self.repos[name]

    def commit(
        self, name: str, revision: str, user: User | None, lines: list[dict], pull_request: bool
    ) -> tuple[Commit, str]:
        """Apply the lines of a commit request; gives the commit and the ref it is on."""
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        repo = self.readable(name, user) if pull_request else self.writable(name, user)
        base = repo.at(revision)
        if revision not in repo.refs:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        files, header = dict(base.files), {}
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                header = value
            elif line["key"] == "file":
                files[value["path"]] = File(_from_base64(value))
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    raise Refusal(400, f"LFS pointer of {value['path']} points to a file that does not exist")
                files[value["path"]] = File(self.objects[value["oid"]], large=True)
            elif line["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
            else:
                raise Refusal(400, f"unknown key {line['key']}")
        if header.get("parentCommit") not in (None, base.oid):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        ref = f"refs/pr/{len(repo.pull_requests) + 1}" if pull_request else revision
        if pull_request:
            repo.refs[ref] = base.oid
        return repo.add(ref, files, header["summary"]), ref


def _from_base64(value: dict) -> bytes:
    import base64

    assert value["encoding"] == "base64"
    return base64.b64decode(value["content"])
