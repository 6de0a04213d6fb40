"""Changes to training rows: seeded, none at strength 0, and each what it says."""

from __future__ import annotations

import pytest
import torch

from backstay.kernel.errors import BackstayError
from backstay.train.augment import KINDS, augment, checked
from backstay.train.augmentations.images import Changes, blurred, images
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
    mirrored = images(pixels, seeded(), 0.01, Changes(flip=True))
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


def test_without_exposure_light_stays_as_it_is() -> None:
    white = torch.full((30, 8, 8, 1), 200, dtype=torch.uint8)
    torch.testing.assert_close(images(white, seeded(), 3.0, Changes(exposure=0.0)), white.float())
    assert (images(white, seeded(), 3.0) != 200).any(dim=(1, 2, 3)).all()


def test_moves_alone_are_multiplied() -> None:
    pixels = torch.randint(0, 256, (50, 16, 16, 1), generator=seeded(), dtype=torch.uint8)
    still = images(pixels, seeded(), 1.0, Changes(moves=0.0, exposure=0.0))
    torch.testing.assert_close(still, pixels.float(), atol=1e-3, rtol=0)
    twice = images(pixels, seeded(), 1.0, Changes(moves=2.0, exposure=0.0))
    torch.testing.assert_close(twice, images(pixels, seeded(), 2.0, Changes(exposure=0.0)))


def test_a_crop_keeps_at_least_its_share_and_stays_inside() -> None:
    # A ramp from left to right tells where a cropped picture was cut: what is seen spans between half of it and all.
    ramp = torch.arange(64.0).expand(400, 64, 64)[..., None] * 4
    seen = images(ramp, seeded(), 1.0, Changes(moves=0.0, exposure=0.0, crop=0.25))[:, 0, :, 0] / 4
    spans = seen[:, -1] - seen[:, 0]
    assert float(spans.min()) > 63 * 0.5 - 1
    assert float(spans.min()) < 63 * 0.6
    assert float(spans.max()) > 63 * 0.9
    # All of it inside: an edge that was looked past would repeat its pixel.
    assert ((seen[:, 1:] - seen[:, :-1])[:, 1:-1] > 0.4).all()


def test_a_warp_displaces_smoothly_and_by_its_deviation() -> None:
    # Ramps from left to right and from top to bottom tell where each place was looked up.
    side = torch.arange(64.0)
    ramps = torch.stack([side.expand(64, 64), side[:, None].expand(64, 64)], dim=2).expand(300, 64, 64, 2)
    still = Changes(moves=0.0, exposure=0.0)
    torch.testing.assert_close(images(ramps, seeded(), 1.0, still), ramps, atol=1e-3, rtol=0)
    seen = images(ramps, seeded(), 1.0, Changes(moves=0.0, exposure=0.0, warp=0.04)) - ramps
    inner = seen[:, 16:48, 16:48]  # where no displacement meets an edge
    assert 0.6 * 0.04 * 64 < float(inner.std()) < 1.1 * 0.04 * 64
    assert abs(float(inner.mean())) < 0.1
    # The two directions have nothing to do with each other, neighbours nearly everything, images nothing.
    across, down = inner[..., 0], inner[..., 1]
    assert abs(float(torch.corrcoef(torch.stack([across.flatten(), down.flatten()]))[0, 1])) < 0.15
    assert float((across[:, :, 1:] - across[:, :, :-1]).abs().max()) < 1.0
    assert float(across.mean(dim=(1, 2)).std()) > 0.3
    twice = images(ramps, seeded(), 2.0, Changes(moves=0.0, exposure=0.0, warp=0.02)) - ramps
    torch.testing.assert_close(twice, seen)


def test_options_of_images_are_for_images() -> None:
    assert checked({"moves": 2, "crop": 0.5}, "image", True) == Changes(True, 2.0, 1.0, 0.5)
    assert checked({"warp": 0.04}, "image", False) == Changes(warp=0.04)
    with pytest.raises(BackstayError, match="kind table"):
        checked({"moves": 2}, "table", False)
    with pytest.raises(BackstayError, match="no key 'turns'"):
        checked({"turns": 2}, "image", False)
    with pytest.raises(BackstayError, match="crop is 0"):
        checked({"crop": 0}, "image", False)
    with pytest.raises(BackstayError, match="warp is -1"):
        checked({"warp": -1}, "image", False)
