"""Soft targets: what a teacher scores, and that the fused loss takes them with the right gradients."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from sse.training.loss.mixing import mix_hardest
from sse.training.loss.ranking import Plan, Ranking
from sse.training.loss.soft_targets import LexicalTeacher, shared_out

N, M, WIDTH, FIRST = 5, 9, 8, 2


def reference(rows, candidates, scale, *, dims, weights, targets, gamma, group, soft_from):
    """The loss from explicit logits."""
    loss = 0.0
    own = torch.arange(N) + FIRST
    masked = (group[own, None] == group) & (group[own, None] >= 0)
    masked[torch.arange(N), own] = False
    for dim, weight in zip(dims, weights, strict=True):
        logits = scale * functional.normalize(rows[:, :dim]) @ functional.normalize(candidates[:, :dim]).T
        logits = logits.masked_fill(masked, -1e30)
        if targets is None or dim < soft_from:
            aimed = logits[torch.arange(N), own]
        else:
            kept = targets.masked_fill(masked, 0)
            aimed = (kept / kept.sum(dim=1, keepdim=True) * logits).sum(dim=1)
        total = logits.logsumexp(dim=1)
        focus = (1 - (aimed - total).exp()).detach() ** gamma
        loss = loss + weight * (focus * (total - aimed)).mean()
    return loss


@pytest.mark.parametrize("chunk", [2, 16])
@pytest.mark.parametrize("scale", [12.0, 60.0])  # above 40 the largest logit is taken off first
@pytest.mark.parametrize("gamma", [0.0, 1.5])
@pytest.mark.parametrize(("soft", "soft_from"), [(False, 0), (True, 0), (True, 5)])
def test_the_loss_and_every_gradient_are_those_of_explicit_logits(soft, soft_from, gamma, scale, chunk):
    generator = torch.Generator().manual_seed(3)
    rows, candidates = (torch.randn(n, WIDTH, generator=generator, dtype=torch.float64) for n in (N, M))
    learned = torch.tensor(scale, dtype=torch.float64)
    for tensor in (rows, candidates, learned):
        tensor.requires_grad_()
    targets = torch.rand(N, M, generator=generator, dtype=torch.float64).softmax(dim=1) if soft else None
    group = torch.tensor([0, 1, 0, 3, 4, 5, 0, -1, -1])
    plan = Plan(
        dims=(4, 8),
        weights=(1.0, 2.0),
        scale=scale,
        first=FIRST,
        groups=[group],
        limits=None,
        chunk=chunk,
        low=None,
        gradient=True,
        targets=targets,
        targets_from=soft_from,
        focal_gamma=gamma,
    )
    loss = Ranking.apply(rows, candidates, learned, plan)
    said = {"dims": (4, 8), "weights": (1.0, 2.0), "targets": targets, "gamma": gamma, "group": group}
    expected = reference(rows, candidates, learned, soft_from=soft_from, **said)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    inputs = (rows, candidates, learned)
    for got, want in zip(
        torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def features(*texts):
    lengths = [len(text) for text in texts]
    return {
        "input_ids": torch.tensor([token for text in texts for token in text]),
        "offsets": torch.tensor(np.cumsum([0, *lengths[:-1]])),
    }


def test_the_lexical_teacher_scores_as_bm25():
    idf = torch.tensor([0.1, 2.0, 3.0, 5.0])
    anchors, positives = ([3, 1], [2]), ([3, 0, 0], [1, 1, 2, 0, 0, 0])
    negatives = ([0], [3, 3, 1])
    mean = 3.0
    scores = LexicalTeacher(idf, mean).scores(
        [features(*anchors), features(*positives), features(*negatives)]
    )

    def bm25(query, document):
        total = 0.0
        for token in query:
            count = document.count(token)
            total += idf[token].item() * count * 1.9 / (count + 0.9 * (0.6 + 0.4 * len(document) / mean))
        return total / sum(idf[token].item() for token in query)

    expected = [[bm25(query, text) for text in (*positives, *negatives)] for query in anchors]
    torch.testing.assert_close(scores, torch.tensor(expected))


def test_shares_add_up_and_the_rest_is_the_rows_own():
    scores = torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    targets = shared_out(scores, 0.3, 10.0)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(2))
    assert targets[1].tolist() == pytest.approx([0.1, 0.8, 0.1])
    torch.testing.assert_close(shared_out(scores, 0.0, 10.0), torch.eye(2, 3))


def test_mixed_negatives_lie_between_the_two_hardest():
    torch.manual_seed(0)
    candidates = functional.normalize(torch.randn(6, 4))
    anchors = candidates[:3] + 0.1
    group = torch.tensor([-1, -1, -1, 7, 7, -1])
    group[0] = 7  # the first row's positive: 3 and 4 are no negatives of it
    mixed = mix_hardest(anchors, candidates, 0, [group], 4)
    for row in range(3):
        scores = functional.normalize(anchors[row : row + 1]) @ candidates.T
        scores[0, row] = -9
        if row == 0:
            scores[0, 3:5] = -9
        one, other = scores.topk(2).indices[0]
        basis = torch.stack([candidates[one], candidates[other]], dim=1)
        share = torch.linalg.lstsq(basis, mixed[row, :, None]).solution[:, 0]
        assert share.sum().item() == pytest.approx(1, abs=1e-5)
        assert share.min() >= -1e-5
    assert mix_hardest(anchors[:1], candidates[:2], 0, [], 4).shape == (0, 4)
