"""The endpoints: which question gets which answer. Paths and fields are those of huggingface_hub's client."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.hub.store import LARGE, File, Refusal


@dataclass
class Answer:
    """Status, headers and body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, content, status: int = 200, **headers: str) -> "Answer":
        """A JSON answer."""
        return cls(status, {"Content-Type": "application/json", **headers}, json.dumps(content).encode())

    @classmethod
    def refusal(cls, refusal: Refusal) -> "Answer":
        """An error as the Hub writes one."""
        headers = {"X-Error-Code": refusal.code} if refusal.code else {}
        return cls.json(
            {"error": refusal.message}, refusal.status, **headers, **{"X-Error-Message": refusal.message}
        )


def answer_hub(hub, request, body: bytes) -> Answer:
    """The Hub: its API, the large-file batch, and files by name."""
    parts, user = request.parts, hub.store.user(request.token)
    if parts[:2] == ["api", "whoami-v2"]:
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        return Answer.json({"type": "user", "name": user.name, "auth": {}})
    if parts[:2] == ["api", "validate-yaml"]:
        return validate_card(json.loads(body)["content"], hub.cards_refused)
    if parts[:3] == ["api", "repos", "create"]:
        asked = json.loads(body)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        repo = hub.store.create(f"{asked.get('organization') or user.name}/{asked['name']}", user, private)
        return Answer.json({"url": f"{hub.url}/{repo.name}", "name": repo.name})
    if parts[:2] == ["api", "models"] and len(parts) >= 4:
        return answer_model(hub, request, user, "/".join(parts[2:4]), [unquote(p) for p in parts[4:]], body)
    if len(parts) > 1 and parts[1].endswith(".git") and parts[2:] == ["info", "lfs", "objects", "batch"]:
        name = "/".join(parts[:2]).removesuffix(".git")
        asked = json.loads(body)
        if "ref" in asked:  # the client leaves it out for a pull request, which needs no right to write
            hub.store.writable(name, user)
        else:
            hub.store.readable(name, user)
        objects = [where_to_put(hub, name, one) for one in asked["objects"]]
        return Answer.json({"transfer": "basic", "objects": objects})
    if len(parts) > 1 and parts[1].endswith(".git") and parts[2:] == ["info", "lfs", "objects", "verify"]:
        asked = json.loads(body)
        if len(hub.store.objects.get(asked["oid"], b"")) != asked["size"]:
            raise Refusal(422, "the object is not there")
        return Answer.json({})
    if len(parts) > 3 and parts[2] == "resolve":
        return resolve(hub, user, "/".join(parts[:2]), unquote(parts[3]), unquote("/".join(parts[4:])))
    raise Refusal(404, "not found")


def answer_model(hub, request, user, name: str, rest: list[str], body: bytes) -> Answer:
    """Everything under ``/api/models/OWNER/NAME``."""
    store, what = hub.store, rest[0] if rest else ""
    pull_request = request.query.get("create_pr") == ["1"]
    if what in ("", "revision"):
        repo = store.readable(name, user)
        commit = repo.at(rest[1] if rest else "main")
        return Answer.json(
            {
                "id": name,
                "modelId": name,
                "sha": commit.oid,
                "private": repo.private,
                "tags": [],
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            }
        )
    if what == "preupload":
        repo = store.readable(name, user) if pull_request else store.writable(name, user)
        files = repo.at(rest[1]).files
        return Answer.json({"files": [upload_mode(one, files) for one in json.loads(body)["files"]]})
    if what == "commit":
        lines = [json.loads(line) for line in body.splitlines()]
        commit, ref = store.commit(name, rest[1], user, lines, pull_request)
        made = {
            "success": True,
            "commitOid": commit.oid,
            "commitUrl": f"{hub.url}/{name}/commit/{commit.oid}",
        }
        if pull_request:
            made["pullRequestUrl"] = f"{hub.url}/{name}/discussions/{ref.rsplit('/', 1)[1]}"
        return Answer.json(made)
    if what == "branch":
        repo = store.writable(name, user)
        branch = rest[1]
        if branch in repo.refs:
            raise Refusal(409, f"Reference already exists: refs/heads/{branch}")
        repo.refs[branch] = repo.at(json.loads(body or b"{}").get("startingPoint") or "main").oid
        return Answer.json({"success": True})
    if what == "refs":
        repo = store.readable(name, user)
        branches = [
            {"name": ref, "ref": f"refs/heads/{ref}", "targetCommit": oid}
            for ref, oid in repo.refs.items()
            if "/" not in ref
        ]
        return Answer.json({"branches": branches, "tags": [], "converts": []})
    if what == "tree":
        commit = store.readable(name, user).at(rest[1])
        under = "/".join(rest[2:])
        return Answer.json(
            tree(commit.files, under, "true" in map(str.lower, request.query.get("recursive", [])))
        )
    raise Refusal(404, "not found")  # xet-write-token among others: no such storage here


def upload_mode(one: dict, files: dict[str, File]) -> dict:
    """How a file is to be sent, and what lies in its place."""
    large = one["path"].endswith(LARGE) or one["size"] > 10_000_000
    there = files.get(one["path"])
    found = {"path": one["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
    return {**found, "oid": there.oid} if there else found


def where_to_put(hub, name: str, one: dict) -> dict:
    """One object of a large-file batch; nothing is to be sent if it is there."""
    found = {"oid": one["oid"], "size": one["size"]}
    if one["oid"] in hub.store.objects:
        return found
    return {
        **found,
        "actions": {
            "upload": {"href": f"{hub.storage.url}/put/{one['oid']}?signature=x"},
            "verify": {"href": f"{hub.url}/{name}.git/info/lfs/objects/verify"},
        },
    }


def resolve(hub, user, name: str, revision: str, path: str) -> Answer:
    """A file, or for a large one the way to it."""
    commit = hub.store.readable(name, user).at(revision)
    headers = {"X-Repo-Commit": commit.oid}
    file = commit.files.get(path)
    if file is None:
        found = Answer.refusal(Refusal(404, "Entry not found", "EntryNotFound"))
        found.headers |= headers
        return found
    if not file.large:
        return Answer(200, {**headers, "ETag": f'"{file.oid}"'}, file.data)
    return Answer(
        302,
        {
            **headers,
            "X-Linked-ETag": f'"{file.oid}"',
            "X-Linked-Size": str(len(file.data)),
            "ETag": f'"{file.git_oid}"',
            "Location": f"{hub.storage.url}/get/{file.oid}?signature=x",
        },
    )


def tree(files: dict[str, File], under: str, recursive: bool) -> list[dict]:
    """Files and folders of a commit, or of a folder in it."""
    prefix = f"{under}/" if under else ""
    inside = {path: file for path, file in files.items() if path.startswith(prefix)}
    if under and not inside:
        raise Refusal(404, f"{under} does not exist", "EntryNotFound")
    found: dict[str, dict] = {}
    for path, file in inside.items():
        names = path.removeprefix(prefix).split("/")
        for end in range(1, len(names)):
            folder = prefix + "/".join(names[:end])
            if end == 1 or recursive:
                found[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
        if len(names) == 1 or recursive:
            found[path] = {"type": "file", "path": path, "oid": file.git_oid, "size": len(file.data)}
            if file.large:
                found[path]["lfs"] = {"oid": file.oid, "size": len(file.data), "pointerSize": 134}
    return list(found.values())


def validate_card(content: str, refused: str) -> Answer:
    """The part of the Hub's check of a card's head that is needed here."""
    import yaml

    match = re.match(r"---\r?\n(.*?)\r?\n---", content, re.DOTALL)
    head = yaml.safe_load(match[1]) if match else {}
    errors = [refused] if refused else []
    if not isinstance(head.get("tags", []), list):
        errors.append('"tags" must be an array')
    if not isinstance(head.get("license", ""), str):
        errors.append('"license" must be a string')
    for entry in head.get("model-index") or []:
        if not entry.get("name") or not entry.get("results"):
            errors.append('"model-index[0].results" is required')
    content = {"errors": [{"message": error} for error in errors], "warnings": []}
    return Answer.json(content, 400 if errors else 200)


def answer_storage(hub, request, body: bytes) -> Answer:
    """Where large files lie. The signature in the link is the right; a token that comes along is a leak."""
    if request.token is not None:
        raise Refusal(400, "Only one auth mechanism allowed")
    what, *rest = request.parts
    if request.query.get("signature") != ["x"]:
        raise Refusal(403, "no signature")
    if what == "put":
        if hashlib.sha256(body).hexdigest() != rest[0]:
            raise Refusal(400, "the checksum does not match")
        hub.store.objects[rest[0]] = body
        return Answer()
    data = next(
        file.data
        for repo in hub.store.repos.values()
        for commit in repo.commits.values()
        for file in commit.files.values()
        if file.large and file.oid == rest[0]
    )
    if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or ""):
        start, end = int(asked[1]), int(asked[2] or len(data) - 1)
        span = {"Content-Range": f"bytes {start}-{end}/{len(data)}", "ETag": f'"{rest[0]}"'}
        return Answer(206, span, data[start : end + 1])
    return Answer(200, {"ETag": f'"{rest[0]}"', "Accept-Ranges": "bytes"}, data)
