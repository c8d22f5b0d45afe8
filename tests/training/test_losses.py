"""The fused loss against sentence-transformers, against explicit masked logits, and over processes."""

import inspect
import os
import pickle
import sys

import pytest
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import nn
from torch.nn import functional

from sse.training.loss import fused as losses
from sse.training.loss import ranking
from sse.training.loss.fused import FusedMatryoshkaMNRL

try:  # sentence-transformers >= 6
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
except ImportError:
    from sentence_transformers.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

WIDTH = 24
DIMS = (24, 16, 8, 3)
needs_directions = pytest.mark.skipif(
    "directions" not in inspect.signature(MultipleNegativesRankingLoss).parameters,
    reason="sentence-transformers before 5.3 has no directions",
)


class Identity(nn.Module):
    """A model whose features are the vectors."""

    def forward(self, features):
        return {"sentence_embedding": features["vectors"]}

    def get_embedding_dimension(self):
        return WIDTH

    get_sentence_embedding_dimension = get_embedding_dimension


def columns(rows=13, negatives=0, dtype=torch.float64, seed=0):
    """Anchors, positives near them, negatives."""
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(rows, WIDTH, generator=generator, dtype=torch.float64) for _ in range(2 + negatives)]
    made[1] += made[0] / 2
    return [column.to(dtype) for column in made]


def run(loss, made, labels=None, autocast=False):
    """The value, and the gradients of the columns."""
    leaves = [column.clone().requires_grad_() for column in made]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss([{"vectors": leaf} for leaf in leaves], labels)
    value.backward()
    return value.detach(), [leaf.grad for leaf in leaves]


def ours(made, labels=None, autocast=False, **options):
    options = {"dims": DIMS, "mask_same_text": False, **options}
    return run(FusedMatryoshkaMNRL(Identity(), **options), made, labels, autocast)


def theirs(made, dims=DIMS, weights=None, scale=20.0, autocast=False, **options):
    model = Identity()  # MatryoshkaLoss works by changing the inner loss' model
    inner = MultipleNegativesRankingLoss(model, scale=scale, **options)
    return run(MatryoshkaLoss(model, inner, list(dims), weights), made, None, autocast)


def explicit(made, mask, symmetric=False, dims=DIMS, scale=20.0):
    """The loss in plain torch, with ``mask`` (rows, candidates) of what is left out."""

    def loss(features, labels):
        anchors, *rest = [item["vectors"] for item in features]
        rows, target, total = len(anchors), torch.arange(len(anchors)), 0
        for k in dims:
            query, documents = (functional.normalize(x[:, :k]) for x in (anchors, torch.cat(rest)))
            logits = (scale * query @ documents.T).masked_fill(mask, -torch.inf)
            part = functional.cross_entropy(logits, target)
            if symmetric:
                part = (part + functional.cross_entropy(logits[:, :rows].T, target)) / 2
            total = total + part
        return total

    return run(loss, made)


def assert_same(actual, expected, tolerance):
    """Values and gradients agree, relative to the largest element."""
    for ours_, theirs_ in zip([actual[0], *actual[1]], [expected[0], *expected[1]], strict=True):
        assert ours_.dtype == theirs_.dtype
        torch.testing.assert_close(
            ours_, theirs_, rtol=tolerance, atol=tolerance * float(theirs_.abs().max())
        )


def error(actual, expected):
    """Relative error of all gradients together."""
    one, other = torch.cat(actual[1]), torch.cat(expected[1])
    return float((one - other).norm() / other.norm())


# What it must equal


@pytest.mark.parametrize("negatives", [0, 1, 2])
@pytest.mark.parametrize(
    ("dims", "weights"),
    [
        (DIMS, None),
        ((24,), None),
        ((8, 24), (0.25, 2.0)),
        ((3, 16, 24, 8), (1.0, 0.5, 3.0, 0.1)),
        ((16, 3), None),  # the last columns are not used
        ((24, 8), (1.0, 0.0)),
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_equals_sentence_transformers(negatives, dims, weights, dtype, tolerance):
    made = columns(negatives=negatives, dtype=dtype)
    assert_same(ours(made, dims=dims, weights=weights), theirs(made, dims, weights), tolerance)


@pytest.mark.parametrize("scale", [1.0, 40.0, 41.0, 300.0])
def test_every_scale(scale):
    made = columns(negatives=1)
    assert_same(ours(made, scale=scale), theirs(made, scale=scale), 1e-11)
    single = [column.float() for column in made]
    assert_same(ours(single, scale=scale), theirs(single, scale=scale), 1e-4 if scale > 100 else 1e-5)


@needs_directions
@pytest.mark.parametrize("negatives", [0, 2])
def test_symmetric_equals_sentence_transformers(negatives):
    made = columns(negatives=negatives)
    expected = theirs(made, directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction")
    assert_same(ours(made, symmetric=True), expected, 1e-11)


def test_symmetric_without_negatives_is_the_same_both_ways():
    anchors, positives = columns()
    value, gradients = ours([anchors, positives], symmetric=True)
    turned, turned_gradients = ours([positives, anchors], symmetric=True)
    assert_same((turned, turned_gradients[::-1]), (value, gradients), 1e-11)


@pytest.mark.parametrize("chunk", [1, 4, 5, 12, 13, 1000])
@pytest.mark.parametrize("scale", [20.0, 50.0])
def test_chunks_do_not_matter(chunk, scale):
    made = columns(negatives=1)
    made[1][7] = made[1][2]
    options = {"symmetric": True, "mask_same_text": True, "false_negative_margin": 0.1, "scale": scale}
    assert_same(ours(made, row_chunk=chunk, **options), ours(made, **options), 1e-11)


def test_gradcheck():
    made = [column[:, :6].contiguous().requires_grad_() for column in columns(5, negatives=1)]
    for options in ({}, {"symmetric": True, "weights": (1.0, 0.3)}, {"false_negative_margin": 0.2}):
        loss = FusedMatryoshkaMNRL(nn.Identity(), dims=(6, 4), scale=5.0, row_chunk=2, **options)
        assert torch.autograd.gradcheck(
            lambda *x, loss=loss: 3 * loss([{"sentence_embedding": column} for column in x]), made
        )


def test_value_without_gradient():
    made = columns(negatives=1)
    loss = FusedMatryoshkaMNRL(Identity(), DIMS)
    expected = ours(made)[0]
    with torch.no_grad():
        value = loss([{"vectors": column.requires_grad_()} for column in made])
    assert not value.requires_grad
    torch.testing.assert_close(value, expected)


def test_gradient_of_some_columns_only():
    anchors, positives = columns()
    expected = ours([anchors, positives])[1][1]
    positives = positives.requires_grad_()
    FusedMatryoshkaMNRL(Identity(), DIMS)([{"vectors": anchors}, {"vectors": positives}]).backward()
    torch.testing.assert_close(positives.grad, expected)
    assert anchors.grad is None


# Hostile vectors


def test_zero_vectors_are_as_normalize_has_them():
    made = columns(negatives=1)
    made[0][3], made[1][5], made[2][0] = 0, 0, 0
    made[0][4, :8], made[1][6, :3] = 0, 0  # zero only at the smaller dims
    made[0][1], made[1][1] = 1e-14, -1e-14  # shorter than eps
    for symmetric in (False, True):
        actual = ours(made, symmetric=symmetric)
        expected = explicit(made, torch.zeros(13, 26, dtype=torch.bool), symmetric)
        assert torch.isfinite(actual[0])
        for one, other in zip(actual[1], expected[1], strict=True):
            assert torch.isfinite(one).all()
            for row, wanted in zip(one, other, strict=True):  # rows differ by twelve orders of magnitude
                torch.testing.assert_close(row, wanted, rtol=1e-9, atol=1e-11 * float(wanted.abs().max()))
        single = ours([column.float() for column in made], symmetric=symmetric)
        assert all(torch.isfinite(x).all() for x in (single[0], *single[1]))


def test_large_and_small_vectors():
    made = columns()
    plain = ours(made)
    scaled = ours([made[0] * 1e8, made[1] * 1e-8])
    assert_same((scaled[0], [scaled[1][0] * 1e8, scaled[1][1] * 1e-8]), plain, 1e-9)


def test_nan_is_not_hidden():
    made = columns()
    made[1][0, 0] = torch.nan
    assert torch.isnan(ours(made, mask_same_text=True)[0])


# Masks


def same(one, other):
    return (one[:, None] == other[None]).all(dim=2)


def text_mask(made):
    anchors, positives, *negatives = made
    mask = same(positives, torch.cat([positives, *negatives]))
    mask[:, : len(anchors)] |= same(anchors, anchors)
    return mask & ~torch.eye(*mask.shape, dtype=torch.bool)


def with_duplicates(dtype=torch.float64):
    made = columns(negatives=2, dtype=dtype)
    made[1][4] = made[1][9] = made[1][2]  # one document three times
    made[0][6] = made[0][1]  # one question twice
    made[2][3] = made[1][8]  # a positive that is another row's negative
    made[3][5] = made[1][5]  # a positive that is its own negative
    made[1][11], made[1][12] = 0.0, -0.0  # equal, though not bit for bit
    return made


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("scale", [20.0, 60.0])
def test_same_text(symmetric, scale):
    made = with_duplicates()
    mask = text_mask(made)
    assert mask.sum() == 6 + 2 + 1 + 1 + 2
    made[1][11:] = torch.arange(WIDTH) - 5.0  # a gradient at zero says little
    actual = ours(made, symmetric=symmetric, mask_same_text=True, scale=scale)
    assert_same(actual, explicit(made, mask, symmetric, scale=scale), 1e-11)
    assert abs(float(actual[0] - ours(made, symmetric=symmetric, scale=scale)[0])) > 0.01


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_same_text_in_every_dtype(dtype):
    made = with_duplicates(dtype)
    loss = FusedMatryoshkaMNRL(Identity(), DIMS)
    group = loss._groups(loss._ids(made, None), 3)
    found = ranking._left_out(
        torch.zeros(13, 39), 0, ranking.Plan(DIMS, (1.0,), 20.0, 0, group, None, 13, None, False)
    )
    mask = torch.zeros(13, 39, dtype=torch.bool)
    mask[found] = True
    assert torch.equal(mask, text_mask(made))
    value, gradients = ours(made, mask_same_text=True)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert all(gradient.dtype == dtype for gradient in gradients)


def test_hashes_tell_vectors_apart():
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (20000, 64), generator=generator).float() * 2 - 1
    vectors = torch.cat(
        [signs, torch.randn(20000, 64, generator=generator).bfloat16().float(), torch.eye(64)]
    )
    hashes = losses._hash_rows(vectors)
    assert len(hashes.unique()) == len(vectors.unique(dim=0))
    assert torch.equal(losses._hash_rows(vectors[:5]), hashes[:5])  # the same in every batch
    assert len(losses._hash_rows(vectors.double()).unique()) == len(hashes.unique())


def test_all_texts_equal_leaves_only_the_positive():
    made = [column[:1].expand(13, -1).contiguous() for column in columns()]
    assert float(ours(made, mask_same_text=True)[0]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("symmetric", [False, True])
def test_labels(symmetric):
    made = columns(negatives=1)
    labels = torch.tensor([5, 1, 5, 2, 3, 4, 5, -1, -1, 10, 11, 12, 13])
    mask = torch.zeros(13, 26, dtype=torch.bool)
    mask[:, :13] = (labels[:, None] == labels) & ~torch.eye(13, dtype=torch.bool)
    assert mask.sum() == 8
    for mask_same_text in (False, True):
        actual = ours(made, labels, symmetric=symmetric, mask_same_text=mask_same_text)
        assert_same(actual, explicit(made, mask, symmetric), 1e-11)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("margin", [-0.3, 0.0, 0.15])
@pytest.mark.parametrize("dims", [DIMS, (16, 8)])
def test_margin(symmetric, margin, dims):
    made = columns(negatives=1)
    anchors, candidates = (functional.normalize(x[:, : dims[0]]) for x in (made[0], torch.cat(made[1:])))
    cosines = anchors @ candidates.T
    mask = (cosines > cosines.diagonal()[:, None] + margin) & ~torch.eye(13, 26, dtype=torch.bool)
    assert mask[:, :13].any()
    assert mask[:, 13:].any()
    actual = ours(made, symmetric=symmetric, false_negative_margin=margin, dims=dims)
    assert_same(actual, explicit(made, mask, symmetric, dims), 1e-11)


def test_masked_positives_of_larger_scale_do_not_drown_the_row():
    made = columns(dtype=torch.float32)
    made[1][0] = -made[0][0]
    made[1][1] = made[0][0]
    value, gradients = ours(made, scale=200.0, false_negative_margin=0.0)
    assert torch.isfinite(value)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


# Low precision


@pytest.mark.parametrize("symmetric", [False, True])
def test_autocast(symmetric):
    generator = torch.Generator().manual_seed(3)
    made = [torch.randn(300, WIDTH, generator=generator) for _ in range(3)]
    made[1] += made[0]
    exact = ours(made, symmetric=symmetric)
    lowered = ours(made, symmetric=symmetric, autocast=True, row_chunk=128)
    assert lowered[0].dtype == torch.float32
    assert lowered[0] != exact[0]
    assert error(lowered, exact) < 2e-2
    assert float(lowered[0]) == pytest.approx(float(exact[0]), rel=1e-3)
    if not symmetric:
        assert error(lowered, exact) < error(theirs(made, autocast=True), exact)


def test_autocast_does_not_round_the_positives_cosine():
    generator = torch.Generator().manual_seed(3)
    made = [torch.randn(300, WIDTH, generator=generator)] * 2
    exact, lowered = ours(made, dims=(24,)), ours(made, dims=(24,), autocast=True)
    assert float(lowered[0]) == pytest.approx(float(exact[0]), rel=0.02)


def test_autocast_keeps_float64():
    made = columns()
    assert_same(ours(made, autocast=True), ours(made), 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("autocast", [False, True])
def test_cuda(autocast):
    made = with_duplicates()
    options = {"symmetric": True, "mask_same_text": True, "false_negative_margin": 0.1}
    expected = ours(made, **options)
    moved = [
        column.to("cuda", torch.float32 if autocast else torch.float64).requires_grad_() for column in made
    ]
    loss = FusedMatryoshkaMNRL(Identity(), DIMS, **options)
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        value = loss([{"vectors": column} for column in moved])
    value.backward()
    actual = value.detach().cpu().double(), [column.grad.cpu().double() for column in moved]
    assert float(actual[0]) == pytest.approx(float(expected[0]), rel=1e-2 if autocast else 1e-11)
    assert error(actual, expected) < (5e-2 if autocast else 1e-11)


# Arguments


@pytest.mark.parametrize(
    "options",
    [
        {"dims": ()},
        {"dims": (8, 0)},
        {"dims": (8, 8)},
        {"dims": (25,)},
        {"dims": (8, 4), "weights": (1.0,)},
        {"weights": (1.0, 1.0, 1.0, float("nan"))},
        {"scale": 0.0},
        {"scale": float("inf")},
        {"row_chunk": 0},
        {"false_negative_margin": float("nan")},
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=r"got|columns"):
        FusedMatryoshkaMNRL(Identity(), **{"dims": DIMS, **options})


def test_bad_input():
    made = columns()
    with pytest.raises(ValueError, match="1 column"):
        ours(made[:1])
    with pytest.raises(ValueError, match="of equal shapes"):
        ours([made[0], made[1][:5]])
    with pytest.raises(ValueError, match="of equal shapes"):
        ours([made[0][:0], made[1][:0]])
    with pytest.raises(ValueError, match="dims has 24"):
        ours([column[:, :20] for column in made])
    with pytest.raises(ValueError, match="whole-number ids"):
        ours(made, torch.rand(13))
    with pytest.raises(ValueError, match="whole-number ids"):
        ours(made, torch.zeros(12, dtype=torch.int64))


def test_config_and_citation():
    loss = FusedMatryoshkaMNRL(Identity(), (8, 24), (0.5, 1), symmetric=True, false_negative_margin=0.1)
    assert loss.get_config_dict() == {
        "dims": [8, 24],
        "weights": [0.5, 1.0],
        "scale": 20.0,
        "symmetric": True,
        "mask_same_text": True,
        "false_negative_margin": 0.1,
        "gather": False,
    }
    assert "kusupati2024matryoshka" in loss.citation
    assert pickle.loads(pickle.dumps(loss)).get_config_dict() == loss.get_config_dict()


# Through a model


PAIRS = {
    "anchor": ["which planet is red", "who wrote faust", "", "capital of peru", "who wrote faust"],
    "positive": ["Mars is called the red planet", "Goethe wrote it", "nothing", "Lima", "Faust is by Goethe"],
    "negative": ["Venus", "Schiller wrote other plays", "something", "Goethe wrote it", "Lima"],
}


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_parameter_gradients_of_a_model(model, layout):
    model[0].batch_layout = layout
    dims = (64, 32, 16)
    gradients = []
    for loss in (
        FusedMatryoshkaMNRL(model, dims, mask_same_text=False),
        MatryoshkaLoss(model, MultipleNegativesRankingLoss(model), list(dims)),
    ):
        model.zero_grad()
        value = loss([model[0].preprocess(texts) for texts in PAIRS.values()], None)
        value.backward()
        found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        gradients.append((value.detach(), list(found.values())))
    assert len(gradients[0][1]) == 4
    assert_same(*gradients, 1e-5)


@pytest.mark.parametrize(("layout", "expected"), [("flat", 1), ("padded", 3)])
def test_flat_columns_are_embedded_together(model, layout, expected):
    model[0].batch_layout = layout
    calls = []
    model[0].dyt.register_forward_hook(lambda module, inputs, output: calls.append(output.detach()))
    features = [model[0].preprocess(texts) for texts in PAIRS.values()]
    FusedMatryoshkaMNRL(model, (64,))([dict(column) for column in features])
    assert len(calls) == expected
    together = torch.cat(calls)
    alone = torch.cat([model(dict(column))["sentence_embedding"] for column in features])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("label", [False, True])
def test_trains_with_the_trainer(model, tmp_path, label):
    rows = {**PAIRS, "label": [0, 1, 2, 3, 1]} if label else PAIRS
    before, calls = model[0].embedding.weight.detach().clone(), []
    model[0].register_forward_hook(lambda module, *_: calls.append(module.training))
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            str(tmp_path),
            max_steps=2,
            per_device_train_batch_size=5,
            report_to="none",
            use_cpu=True,
            logging_steps=1,
        ),
        train_dataset=Dataset.from_dict(rows),
        eval_dataset=Dataset.from_dict(rows),
        loss=FusedMatryoshkaMNRL(model, (64, 32)),
    )
    trainer.train()
    assert calls.count(True) == 2  # all columns at once, also with the features that the trainer makes
    assert not torch.equal(before, model[0].embedding.weight)
    assert trainer.evaluate()["eval_loss"] > 0


# Over processes


OPTIONS = [
    {},
    {"symmetric": True},
    {"mask_same_text": True, "symmetric": True},
    {"mask_same_text": True, "false_negative_margin": 0.1, "symmetric": True, "row_chunk": 2},
    {"mask_same_text": True, "labels": True, "false_negative_margin": 0.0},
    {"labels": True, "symmetric": True},
]


def batch():
    made = columns(8, negatives=1)
    made[1][5] = made[1][2]  # 0 to 3 are the first process' rows
    made[0][7] = made[0][1]
    made[2][6] = made[1][0]
    return made, torch.tensor([1, 2, 3, 4, 1, 5, 6, 7])


class Tanh(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(WIDTH, WIDTH).double()

    def forward(self, features):
        return {"sentence_embedding": torch.tanh(self.linear(features["vectors"]))}


def step(model, options, made, labels, **more):
    options = dict(options)
    labels = labels if options.pop("labels", False) else None
    loss = FusedMatryoshkaMNRL(model, **{"dims": DIMS, "mask_same_text": False, **options, **more})
    model.zero_grad()
    value = loss([{"vectors": column} for column in made], labels)
    value.backward()
    return [value.detach(), *(parameter.grad.clone() for parameter in model.parameters())]


def process(rank, directory):
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{directory}/meet", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(Tanh())
    made, labels = batch()
    mine = slice(4 * rank, 4 * rank + 4)
    results = [step(model, o, [c[mine] for c in made], labels[mine], gather=True) for o in OPTIONS]
    for result in results:
        torch.distributed.all_reduce(result[0])
        result[0] /= 2
    try:
        step(model, {}, [column[: 3 + rank] for column in made], labels, gather=True)
    except ValueError as error:
        results.append(str(error))
    torch.save(results, f"{directory}/{rank}.pt")
    torch.distributed.barrier()
    # Past all destructors: that of DistributedDataParallel's reducer can wait, with the GIL, for Gloo's thread, and
    # Gloo's thread for the GIL (torch 2.13, one run in some twenty).
    os._exit(0)


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=2)
    made, labels = batch()
    for rank in range(2):
        *results, message = torch.load(tmp_path / f"{rank}.pt")
        assert "unequal batches" in message
        for options, result in zip(OPTIONS, results, strict=True):
            expected = step(Tanh(), options, made, labels)
            for one, other in zip(result, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def test_gather_does_nothing_in_one_process():
    made = columns()
    assert_same(ours(made, gather=True), ours(made), 0)
