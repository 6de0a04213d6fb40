from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.classifier import RIDGE, Classifier, StandardMap
from backstay.maths.fourier import FourierMap
from backstay.maths.meanshift import MeanShift
from backstay.monitor.detectors.embedding import NAME, SEED, EmbeddingDetector
from backstay.monitor.measures import Measures, Whole


def test_witnesses_lie_where_the_mass_went_and_traits_tell_it(world, look):
    detector = EmbeddingDetector.fit(world.reference(2000))
    window = world.window(n=600)
    rows = window.representation
    rows[:60] = 4.0 + 0.1 * rows[:60]
    signal, _ = detector.look({}, window, look())
    assert signal.alarm
    assert all(int(name.split("-")[1]) < 60 for name in signal.example_ids)
    assert signal.moved[0].startswith("brightness: ")


def test_one_witness_a_group(world, look):
    detector = EmbeddingDetector.fit(world.reference(2000))
    groups = np.array([f"g{i // 4}" for i in range(400)], dtype=object)
    signal, _ = detector.look({}, world.window(n=400, shift=2.0, groups=groups), look())
    assert len({int(name.split("-")[1]) // 4 for name in signal.example_ids}) == len(signal.example_ids) == 8


def test_without_embeddings_in_the_window_nothing_is_judged(world, look):
    detector = EmbeddingDetector.fit(world.reference(300))
    signal, _ = detector.look({}, world.window(representation=None), look())
    assert "not judged" in signal.message


def test_columns_make_a_space_where_there_are_no_embeddings(world, look):
    detector = EmbeddingDetector.fit(world.reference(2000, representation=None))
    assert detector.look({}, world.window(n=500, shift=0.6, representation=None), look())[0].alarm


def test_embeddings_of_learned_rows_are_compared_with_nothing(world, look):
    reference = world.reference(2000, correct=None, learned=np.arange(2000) < 1000)
    reference.representation[:1000] *= 3.0  # a model is surer of what it has learnt by heart
    assert not EmbeddingDetector.fit(reference).look({}, world.window(n=500), look())[0].alarm
    mutant = type(reference)(reference.predicted, reference.classes, representation=reference.representation)
    assert EmbeddingDetector.fit(mutant).look({}, world.window(n=500), look())[0].alarm


def test_a_large_reference_is_sampled_by_a_fixed_seed(world):
    reference = world.reference(21_000, columns=False, traits=None)
    first, second = (EmbeddingDetector.fit(reference).to_json() for _ in range(2))
    assert first == second
    assert first["shift"]["n"] == 20_000


def test_no_inputs_no_detector(world):
    assert EmbeddingDetector.fit(world.reference(200, representation=None, columns=False)) is None


def test_a_small_shift_of_some_of_many_coordinates_is_found_by_the_classifier(world, look):
    rng = np.random.default_rng(11)
    scale = np.arange(1, 201) ** -0.7
    rows, now = rng.normal(size=(2000, 200)) * scale, rng.normal(size=(2000, 200)) * scale
    detector = EmbeddingDetector.fit(world.reference(2000, representation=rows, columns=False, traits=None))
    assert not detector.look({}, world.window(n=2000, representation=now), look(0.01))[0].alarm
    now[:, -20:] += 0.12 * scale[-20:]
    signal, _ = detector.look({}, world.window(n=2000, representation=now), look(0.01))
    assert signal.alarm
    assert signal.figures["evidence_classifier"] > 1 > signal.figures["evidence_kernel"]
    assert signal.evidence == signal.figures["evidence_classifier"]


def test_each_of_the_two_tests_spends_half(world, look):
    detector = EmbeddingDetector.fit(world.reference(1000))
    signal, _ = detector.look({}, world.window(n=300), look(0.02))
    assert signal.alpha == 0.02
    limits = [shift.threshold(300, 0.01) for shift in (detector.shift, detector.classifier.shift)]
    assert any(np.isclose(signal.figures["threshold"], limit) for limit in limits)


def of_version_1(world, reference) -> EmbeddingDetector:
    """As references were learnt before: maps without a centre, in double precision."""
    new = EmbeddingDetector.fit(reference)
    rows = reference.representation
    fourier = FourierMap(SEED, rows.shape[1], bandwidth=new.fourier.bandwidth)
    map_ = StandardMap(rows.mean(axis=0), rows.std(axis=0), rows.shape[1], single=False)
    shift = MeanShift.fit(map_.features(rows), whiten=True, ridge=RIDGE)
    kernel = MeanShift.fit(fourier.features(rows))
    return EmbeddingDetector(new.space, fourier, kernel, Classifier(map_, shift), new.traits)


def test_a_detector_of_version_1_is_read_back_keeps_its_maps_and_its_sketches(world, look):
    reference = world.reference(2000)
    old = of_version_1(world, reference)
    again = EmbeddingDetector.from_json(json.loads(json.dumps(old.to_json())))
    assert again.fourier.to_json()["version"] == again.classifier.map.to_json()["version"] == 1
    window = world.window(n=600, shift=0.3)
    assert again.look({}, window, look()) == old.look({}, window, look())
    stored = Measures.from_json(json.loads(json.dumps(old.measure(window).to_json())))
    more = again.measure(world.window(n=300), stored)
    assert more.thinned[NAME].kept.n == 900
    # Sums under the maps of today are no sums under those of then.
    with pytest.raises(BackstayError, match="different maps"):
        EmbeddingDetector.fit(reference).measure(window).merge(stored)


def test_both_versions_see_the_same(world, look):
    reference, window = world.reference(2000), world.window(n=600, shift=0.3)
    old, new = of_version_1(world, reference), EmbeddingDetector.fit(reference)
    assert new.fourier.to_json()["version"] == new.classifier.map.to_json()["version"] == 2
    then, now = (detector.look({}, window, look())[0].figures for detector in (old, new))
    for name in ("evidence_kernel", "evidence_classifier", "threshold", "p_value"):
        # The kernel's frequencies are the same, its rows lie elsewhere: the distance of means does not change.
        assert now[name] == pytest.approx(then[name], rel=0.01)


def test_rows_in_single_precision_and_sketches_of_them_are_judged_alike(world, look):
    reference, window = world.reference(1500), world.window(n=600, shift=0.3)
    detector = EmbeddingDetector.fit(reference)
    single = EmbeddingDetector.fit(replace(reference, representation=reference.representation.astype(np.float32)))
    results = [
        detector.look({}, window, look())[0],
        single.look({}, replace(window, representation=window.representation.astype(np.float32)), look())[0],
        detector.look({}, replace(window, whole=Whole(600, {NAME: detector.measure(window)})), look())[0],
    ]
    for one in results[1:]:
        assert one.evidence == pytest.approx(results[0].evidence, rel=1e-4)


def test_numbers_that_are_none_are_refused(world, look):
    detector = EmbeddingDetector.fit(world.reference(300))
    window = world.window(n=100)
    window.representation[7, 0] = np.inf
    with pytest.raises(BackstayError, match="1 values that are NaN or infinite"):
        detector.look({}, window, look())
