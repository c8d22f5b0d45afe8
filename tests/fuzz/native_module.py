"""The compiled core, built with sanitizers, under wrong arguments and many threads: exceptions, never a fault.

Run by run.sh, which builds the library: python tests/fuzz/native_module.py PATH_OF_NATIVE_SO
"""

import copy
import importlib.machinery
import importlib.util
import json
import os
import pickle
import random
import struct
import sys
import tempfile
import threading
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIALS = ["[UNK]", "[CLS]", "[MASK]"]
PIECES = [
    *SPECIALS,
    *LETTERS,
    *(f"##{c}" for c in LETTERS),
    "the",
    "##ing",
    "é",
    "中",
    "🙂",
    "##🙂",
    ".",
    ",",
    "€",
    "ß",
]
ROWS = len(PIECES)
WRONG = (
    ValueError,
    TypeError,
    OverflowError,
    OSError,
    MemoryError,
    ArithmeticError,
    SystemError,
    UnicodeError,
)
tried = 0


def load_native(path: str):
    import sse.edge

    name = "sse.edge._native"
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_file_location(name, path, loader=loader)
    )
    loader.exec_module(module)
    sys.modules[name] = sse.edge._native = module
    return module


def write_model(folder: Path, kind: str, dim: int, seed: int = 1) -> Path:
    """A model directory by hand."""
    rng = random.Random(seed)
    floats = lambda n: array("f", [rng.uniform(-2, 2) for _ in range(n)]).tobytes()  # noqa: E731
    halves = lambda n: struct.pack(f"<{n}e", *(rng.uniform(-2, 2) for _ in range(n)))  # noqa: E731
    tensors: dict[str, tuple[str, list[int], bytes]] = {}
    if kind == "f32":
        tensors["embedding.weight"] = ("F32", [ROWS, dim], floats(ROWS * dim))
    elif kind == "f16":
        tensors["embedding.weight"] = ("F16", [ROWS, dim], halves(ROWS * dim))
    elif kind == "int4":
        tensors["embedding.scales"] = ("F16", [ROWS, 1], halves(ROWS))
        tensors["embedding.codebook"] = ("F32", [16], floats(16))
        tensors["embedding.codes"] = ("U8", [ROWS, dim // 2], rng.randbytes(ROWS * dim // 2))
    else:
        shape = [ROWS, 1] if kind == "int8_row" else [1, dim]
        tensors["embedding.scales"] = ("F32", shape, floats(max(shape)))
        tensors["embedding.codes"] = ("I8", [ROWS, dim], rng.randbytes(ROWS * dim))
    vectors = {f"dyt.{name}": ("F32", [dim], floats(dim)) for name in ("alpha", "beta", "bias")}
    tensors = {**vectors, **tensors}  # the table last: its last row ends the file
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    tokenizer = {
        "added_tokens": [{"content": token, "id": i, "special": True} for i, token in enumerate(SPECIALS)],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: i for i, piece in enumerate(PIECES)},
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def refused(call, *args, **options) -> None:
    """It must raise."""
    global tried
    tried += 1
    try:
        result = call(*args, **options)
    except WRONG:
        return
    raise AssertionError(f"accepted: {args!r:.200} {options!r:.200} gave {result!r:.80}")


def survives(call, *args, **options):
    """It may raise or not."""
    global tried
    tried += 1
    try:
        return call(*args, **options)
    except WRONG:
        return None


def recorded(native, files):
    """What NativeTier says to Core."""
    from sse.edge import tiers

    spec, said = tiers.read_tokenizer(files.tokenizer, files.table.rows), {}

    class Recorder:
        @staticmethod
        def Core(**options):
            said.update(options)
            return native.Core(**options)

    sys.modules["sse.edge._native"] = sse_edge()._native = Recorder
    try:
        tiers.NativeTier(files, spec)
    finally:
        sys.modules["sse.edge._native"] = sse_edge()._native = native
    return said


def sse_edge():
    return sys.modules["sse.edge"]


JUNK = [
    None,
    -1,
    0,
    1,
    3,
    2**31,
    2**62,
    2**63 - 1,
    2**64 - 1,
    2**70,
    1.5,
    "",
    "x\0y",
    "\ud800",
    b"",
    b"\0" * 4,
    b"x" * 1000,
]
JUNK += [
    [],
    [1],
    ["a"],
    [None],
    [()],
    [("a",)],
    [("a", -1)],
    [("a", 2**40)],
    {},
    (),
    object(),
    bytearray(4),
    "a" * 5000,
]


def constructor(native, said) -> None:
    good = native.Core(**said)
    assert good.encode(["the ing"], said["dim"], True, 0)
    for key in said:
        refused(native.Core, **{k: v for k, v in said.items() if k != key})
        for junk in JUNK:
            made = survives(native.Core, **{**said, key: junk})
            if made is not None:
                survives(made.encode, ["the 中 [MASK]"], said["dim"], True, 0)
                survives(made.ids, "aaaaaaaaa é 🙂 [MASK].", 0)
    refused(native.Core)
    refused(native.Core, *range(20))
    refused(native.Core, **said, another=1)
    size = os.path.getsize(said["path"])
    wrong = {
        "ids": [
            said["ids"][:-1],
            said["ids"][4:],
            said["ids"] + b"\0" * 4,
            struct.pack("<I", ROWS) * len(said["pieces"]),
        ],
        "pieces": [
            [*said["pieces"], "more"],
            [*said["pieces"][:-1], 5],
            [*said["pieces"][:-1], "\udc00"],
            tuple(said["pieces"]),
        ],
        "specials": [
            [("<" * 60, 1)],
            [("", 1)],
            [("<x>", ROWS)],
            [("<\ud800>", 1)],
            [["<x>", 1]],
            [("<x>", 1)] * 65,
        ],
        "unk": [ROWS, -1, 2**32],
        "max_chars": [-1, 1001, 2**31 - 1],
        "unicode": [said["unicode"][:-1], said["unicode"] + b"\0", said["unicode"][:16], b"SSEU"],
        "path": [said["path"] + "\0", said["path"] + "x", os.path.dirname(said["path"]), "/dev/null", ""],
        "kind": [-1, 5, 2**31 - 1, -(2**31)],
        "rows": [0, -1, ROWS + 1, 2**28 + 1, 2**62, 1],
        "dim": [0, -1, said["dim"] + 1, 2**20 + 1, 2**62],
        "codes": [size, size + 1, 2**63, 2**64 - 4, said["codes"] + 4096],
        "alpha": [said["alpha"][:-1], said["alpha"][4:], said["alpha"] + b"\0" * 4],
        "isa": ["", "neon", "AVX2", "avx2\0"],
    }
    wrong["beta"] = wrong["bias"] = wrong["alpha"]
    if said["groups"]:
        wrong["groups"] = [0, -1, 2**62, said["dim"] + 1, said["dim"], 7]
        wrong["scales"] = [size, size - 1, 2**63, 2**64 - 2]
    if said["codebook"]:
        wrong["codebook"] = [b"", said["codebook"][:-1], said["codebook"] + b"\0"]
    for key, values in wrong.items():
        for value in values:
            refused(native.Core, **{**said, key: value})
    for kind in range(5):  # one kind of table read as another: refused, or garbage in range
        for groups in (1, 2, 3, said["dim"]):
            other = {"kind": kind, "groups": groups, "codebook": bytes(64), "scales": 8}
            core = survives(native.Core, **{**said, **other})
            if core:
                survives(core.encode, ["".join(p.removeprefix("##") for p in PIECES)], said["dim"], True, 0)
    for specials in (
        [(b"<\xc3", 1)],
        [(b"<\xf0\x9f", 1)],
    ):  # ends within a character: never written by sse.edge
        core = survives(native.Core, **{**said, "specials": specials})
        if core:
            for text in ("<é", "<🙂", "<é" * 20, "<🙂" * 20, "<é." * 300):
                survives(core.ids, text, 0)
    refused(copy.copy, good)
    refused(copy.deepcopy, good)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        refused(pickle.dumps, good, protocol)
    refused(object.__new__, native.Core)
    refused(type, "Sub", (native.Core,), {})


class Lying:
    """A sequence whose length is not what it says."""

    def __init__(self, said, true):
        self.said, self.true = said, true

    def __len__(self):
        return self.said

    def __getitem__(self, i):
        if i >= self.true:
            raise IndexError
        return "the ing"


def calls(core, dim: int) -> None:
    text = "the cat é 中 🙂 [MASK]."
    for junk in JUNK:
        for args in (
            (junk, dim, True, 0),
            (["a"], junk, True, 0),
            (["a"], dim, junk, 0),
            (["a"], dim, True, junk),
        ):
            survives(core.encode, *args) if junk not in (2**62, 2**63 - 1) or args[1] is dim else refused(
                core.encode, *args
            )
        survives(core.encode, [text], dim, True, 0, junk)
        survives(core.encode, [text], dim, True, 0, None, junk)
        survives(core.encode, [text], dim, True, 0, bytearray(4 * dim), junk)
        survives(core.ids, junk, 0)
        survives(core.ids, text, junk)
    for args in (
        (),
        ([text],),
        ([text], dim, True, 0, None, 0, 0),
        ([text, 5], dim, True, 0),
        ([text, None], dim, True, 0),
        (["\ud800"], dim, True, 0),
        (["a" * 5000, "\udfff" * 5000], dim, True, 0),
        ([text], dim + 1, True, 0),
        ([text], 0, True, 0),
        ([text], -1, True, 0),
        ([text], dim, True, -1),
        ([text], dim, True, 2**63),
        ([text], dim, True, 0, bytearray(4 * dim - 1), 0),
        ([text], dim, True, 0, bytearray(4 * dim), 1),
        ([text], dim, True, 0, bytearray(4 * dim), -1),
        ([text], dim, True, 0, bytearray(4 * dim), 2**61),
        ([text], dim, True, 0, bytearray(4 * dim), 2**63 - 1),
        ([text] * 40, dim, True, 0, bytearray(4 * dim * 39), 0),
        ([text], dim, True, 0, bytes(4 * dim), 0),
        ([text], dim, True, 0, None, 1),
        ([text], dim, True, 0, None, 100000),
        ([], dim, True, 0, None, 2**63 - 1),
        (Lying(-1, 3), dim, True, 0, bytearray(4), 0),
    ):
        refused(core.encode, *args)
    for args in ((), (text,), (5, 0), ("\ud800", 0), (text, 2**63), (b"x", 0)):
        refused(core.ids, *args)
    assert core.encode([], dim, True, 0) == b""
    assert (
        len(core.encode(Lying(1000, 3), dim, True, 0))
        == len(core.encode(Lying(0, 3), dim, True, 0))
        == 12 * dim
    )
    assert core.encode([text] * 3, 1, False, 1)
    for cut in (1, 2, 3, 4):  # a bytearray may begin anywhere
        out = bytearray(4 * dim + cut)
        del out[:cut]
        survives(core.encode, [text], dim, True, 0, out, 0)
    out = bytearray(12 * dim)
    core.encode([text], dim, True, 0, out, 1)
    assert out == bytes(4 * dim) + core.encode([text], dim, True, 0) + bytes(4 * dim)
    for limit in (1, 2, 511, 512, 513, 2**63 - 1):
        assert len(core.ids("the." * 2000, limit)) == 4 * min(limit, 4000)
    everything = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    for long in (
        "the " * 2_500_000,
        "a" * 10_000_000,
        "🙂" * 2_500_000,
        "ﷺ" * 1_000_000,
        everything,
        "\0" * 10_000_000,
    ):
        count = len(core.ids(long, 0)) // 4
        rows = core.encode([long, text, long], dim, True, 0)
        assert len(rows) == 12 * dim
        assert rows[: 4 * dim] == rows[8 * dim :]
        assert count <= 18 * len(long)
    for end in range(60):  # every place at which a text can end
        core.ids(everything[0x3A0 - end : 0x3A0], 0)
        core.ids(("ab🙂é " * 20)[:end], 0)
        core.ids("[MASK]"[: end % 7] * 3, end)


def random_text(rng: random.Random) -> str:
    pools = (LETTERS, " .,[]MASK\0\t", "éß中🙂€ﷺ\u0301\u200d\U0010ffff", "".join(PIECES))
    return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(200)))


def threads(core, dim: int) -> None:
    """Many threads on one core; what each gets must be what it gets alone."""
    rng = random.Random(5)
    texts = [random_text(rng) * rng.choice((1, 1, 20)) for _ in range(200)]
    alone = [bytes(core.encode([text], dim, True, 0)) for text in texts]
    ids = [core.ids(text, 0) for text in texts]
    shared = bytearray(4 * dim * len(texts))
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        mine = random.Random(seed)
        try:
            for _ in range(40):
                first = mine.randrange(len(texts))
                part = texts[first : first + mine.randrange(60)]
                assert core.encode(part, dim, True, 0) == b"".join(alone[first : first + len(part)])
                core.encode(part, dim, True, 0, shared, first)
                assert core.ids(texts[first], 0) == ids[first]
        except BaseException as error:
            errors.append(error)

    run([threading.Thread(target=work, args=(seed,)) for seed in range(16)])
    assert not errors, errors
    resized(core, dim)


def resized(core, dim: int) -> None:
    """Nobody can resize a bytearray while rows are written into it."""
    out, long = bytearray(4 * dim * 64), ["the ing " * 20_000] * 64
    filler = threading.Thread(target=core.encode, args=(long, dim, True, 0, out, 0))
    filler.start()
    refusals = 0
    while filler.is_alive():
        try:
            out.extend(bytes(1 << 16))
        except BufferError:
            refusals += 1
        filler.join(0.001)
    assert refusals
    out.clear()


def run(workers: list[threading.Thread]) -> None:
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main() -> None:
    native = load_native(sys.argv[1])
    from sse.edge.model_file import read_model
    from sse.edge.tiers import choose_tier

    assert sys.modules["sse.edge.tiers"].native_module() is native
    with tempfile.TemporaryDirectory() as folder:
        for kind, dim in (("f32", 36), ("f16", 62), ("int8_column", 130), ("int8_row", 36), ("int4", 62)):
            files = read_model(write_model(Path(folder) / kind, kind, dim))
            tier = choose_tier(files, "native")
            assert tier.ids("the ing", 0)
            assert len(tier.encode(["the"], dim, True, 0)) == 4 * dim
            constructor(native, recorded(native, files))
            calls(tier.core, dim)
            threads(tier.core, dim)
            sys.stdout.write(f"{kind}: {tried} calls so far\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
