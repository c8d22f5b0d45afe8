"""A fusion keeps the cosines of long vectors in fewer dims, and does the same again for the same seed."""

import numpy as np
import pytest
import torch

from sse.training.teacher.fusion import fuse, report_fusion


def normalised(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def three_models(rows, seed=0, width=128, latent=96):
    """What three models that see the same topics give: a falling spectrum, own axes, a common mean, noise."""
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, latent + 1) ** -0.7
    topics = rng.standard_normal((60, latent)) * spectrum
    meaning = topics[rng.integers(0, 60, rows)] + 0.8 * rng.standard_normal((rows, latent)) * spectrum
    members = []
    for _ in range(3):
        axes = rng.standard_normal((latent, width)) / np.sqrt(latent)
        noise = 0.03 * rng.standard_normal((rows, width))
        members.append(normalised(meaning @ axes + 0.1 * rng.standard_normal(width) + noise))
    return normalised(np.hstack(members))


@pytest.mark.parametrize("epochs", [0, 3])
def test_cosines_of_new_vectors_are_kept(epochs):
    vectors = three_models(3000)
    kept = report_fusion(fuse(vectors[:2000], 128, epochs=epochs, batch_size=500), vectors[2000:])
    assert list(kept) == [32, 64, 128]
    assert kept[128] > 0.99
    assert kept[64] > 0.97
    assert kept[32] > 0.9


def test_the_start_at_the_axes_is_the_projection_itself():
    vectors = three_models(1000)
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    for size, cosines in report_fusion(fuse(vectors, 64, epochs=0), vectors).items():
        cut = normalised(vectors @ axes[:, ::-1][:, :size])
        pairs = np.triu_indices(1000, 1)
        wanted = np.corrcoef((vectors @ vectors.T)[pairs], (cut @ cut.T)[pairs])[0, 1]
        assert cosines == pytest.approx(wanted, abs=0.01)


def test_random_weights_learn_to_keep_cosines():
    vectors = three_models(2500)
    options = {"batch_size": 250, "learning_rate": 1e-3, "start": "kaiming"}
    before, after = (
        report_fusion(fuse(vectors[:2000], 64, epochs=epochs, **options), vectors[2000:])[64]
        for epochs in (0, 8)
    )
    assert after > 0.93
    assert after > before


def test_more_dims_than_there_were_do_no_harm():
    vectors = normalised(three_models(300)[:, :20])
    assert report_fusion(fuse(vectors, 30, epochs=0), vectors)[30] > 0.95


def test_short_vectors_have_length_one_at_every_dim():
    vectors = three_models(300)
    fusion = fuse(vectors, 40, epochs=1)
    for dim in (None, 32, 8):
        short = fusion.transform(vectors, dim)
        assert short.dtype == np.float32
        assert short.shape == (300, dim or 40)
        np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(fusion.transform(vectors[:1]), fusion.transform(vectors)[:1], atol=1e-6)


def test_the_seed_decides_everything():
    vectors = three_models(300)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = fuse(vectors, 16, epochs=2, batch_size=64, seed=3, start="kaiming").transform(vectors)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert np.array_equal(
        fuse(vectors, 16, epochs=2, batch_size=64, seed=3, start="kaiming").transform(vectors), one
    )
    assert not np.allclose(
        fuse(vectors, 16, epochs=2, batch_size=64, seed=4, start="kaiming").transform(vectors), one
    )


@pytest.mark.parametrize(
    ("shape", "options"),
    [((1, 8), {}), ((8,), {}), ((8, 8), {"dim": 0}), ((8, 8), {"batch_size": 1}), ((8, 8), {"epochs": -1})],
)
def test_what_cannot_be_fitted_is_refused(shape, options):
    with pytest.raises(ValueError, match=r"fusion needs|must be at least"):
        fuse(np.ones(shape, np.float32), **{"dim": 4, **options})
