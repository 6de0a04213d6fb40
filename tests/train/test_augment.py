"""Changes to training rows: seeded, none at strength 0, and each what it says."""

from __future__ import annotations

import pytest
import torch

from backstay.train.augment import KINDS, augment
from backstay.train.augmentations.images import blurred, images
from backstay.train.augmentations.rows import corrupt, vectors
from backstay.train.augmentations.texts import texts


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(kind: str) -> tuple[torch.Tensor, ...]:
    if kind == "image":
        return (torch.randint(0, 256, (6, 9, 7, 3), generator=seeded(), dtype=torch.uint8),)
    if kind == "text":
        return (torch.randint(4, 90, (6, 12), generator=seeded()),)
    numbers = torch.randn(6, 30, generator=seeded())
    return (numbers,) if kind == "vector" else (numbers, torch.full((6, 50), 4))


@pytest.mark.parametrize("kind", KINDS)
def test_seeded_and_nothing_at_strength_0(kind: str) -> None:
    given = rows(kind)
    before = [t.clone() for t in given]
    one, same, other = (augment(given, seeded(s), 1.0, kind) for s in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    assert [t.shape for t in one] == [t.shape for t in given]
    still = augment(given, seeded(3), 0.0, kind)
    assert all(a is b for a, b in zip(still, given, strict=True))
    almost = augment(given, seeded(3), 1e-6, kind)
    for a, b in zip(almost, given, strict=True):
        torch.testing.assert_close(a.float(), b.float(), atol=0.1, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_more_strength_changes_more(kind: str) -> None:
    given = rows(kind)[0].float()
    weak, strong = (
        float((augment(rows(kind), seeded(1), s, kind)[0].float() - given).abs().mean()) for s in (0.3, 3.0)
    )
    assert strong > 1.5 * weak


def test_flip_mirrors_half_and_only_where_asked() -> None:
    pixels = torch.zeros(200, 4, 4, 1, dtype=torch.uint8)
    pixels[:, :, 0] = 255
    left = images(pixels, seeded(), 0.01)[:, :, 0, 0].mean(dim=1) > 127
    assert left.all()
    mirrored = images(pixels, seeded(), 0.01, flip=True)
    share = float((mirrored[:, :, 0, 0].mean(dim=1) < 127).float().mean())
    assert 0.35 < share < 0.65
    assert torch.equal(mirrored[:, :, 0, 0].mean(dim=1) < 127, mirrored[:, :, 3, 0].mean(dim=1) > 127)


def test_blur_is_its_plain_loop() -> None:
    x = torch.rand(1, 2, 4, 5, generator=seeded(), dtype=torch.float64)
    side = [torch.tensor(-0.5 * (k / 0.8) ** 2).exp().item() for k in (-1, 0, 1)]
    expected = torch.zeros_like(x)
    for c in range(2):
        for i in range(4):
            for j in range(5):
                for a in (-1, 0, 1):
                    for b in (-1, 0, 1):
                        at = x[0, c, min(3, max(0, i + a)), min(4, max(0, j + b))]
                        expected[0, c, i, j] += side[a + 1] * side[b + 1] / sum(side) ** 2 * at
    torch.testing.assert_close(blurred(x, 0.8), expected)


def test_corruption_takes_from_other_rows_of_the_same_column() -> None:
    n = 400
    numbers = torch.arange(n * 3, dtype=torch.float32).reshape(n, 3)
    codes = torch.arange(n * 2).reshape(n, 2)
    changed, masks = corrupt((numbers, codes), 0.4, seeded())
    for new, old, mask in zip(changed, (numbers, codes), masks, strict=True):
        assert torch.equal(new != old, mask)
        assert float(mask.float().mean()) == pytest.approx(0.4, abs=0.06)
        for column in range(old.shape[1]):
            assert set(new[:, column].tolist()) <= set(old[:, column].tolist())


def test_a_single_row_is_not_corrupted() -> None:
    (changed,), (mask,) = corrupt((torch.ones(1, 4),), 0.9, seeded())
    assert torch.equal(changed, torch.ones(1, 4))
    assert not mask.any()


def test_words_are_hidden_and_nothing_else() -> None:
    codes = torch.tensor([[3, 9, 8, 7, 6, 5, 4, 9, 8, 7, 0, 0]] * 2000 + [[3, 9, *[0] * 10]])
    changed = texts(codes, seeded(), 1.0)
    hidden = changed != codes
    assert (changed[hidden] == 2).all()
    assert not hidden[:, 0].any()
    assert not hidden[:, 10:].any()
    assert not hidden[-1].any()
    share = float(hidden[:-1, 1:10].float().mean())
    # 5% one by one, and a run of 0 words or (9 * 0.1 = 0.9, so with probability 0.9 / 1.9) 1 at most.
    assert 0.03 < share < 0.12
    runs = texts(codes, seeded(), 5.0) != codes
    assert int((runs[:, 1:9] & runs[:, 2:10]).sum()) > 1000


def test_places_of_vectors_go_to_their_mean() -> None:
    changed = vectors(torch.full((200, 50), 3.0), seeded(), 1.0)
    assert float((changed == 0).float().mean()) == pytest.approx(0.05, abs=0.01)
    assert float(changed[changed != 0].std()) == pytest.approx(0.05, rel=0.1)
