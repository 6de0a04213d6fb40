from __future__ import annotations

import numpy as np

from backstay.monitor.detectors.embedding import EmbeddingDetector


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
