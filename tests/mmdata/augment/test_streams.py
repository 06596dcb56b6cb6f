"""Random numbers of many keys, against NumPy's own."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmdata.augment.streams import generators, mix_seeds


@given(st.lists(st.integers(0, 2**128 - 1), max_size=5))
def test_seeds_are_mixed_as_numpy_mixes_them(seeds: list[int]) -> None:
    words = np.array([np.frombuffer(seed.to_bytes(16, "little"), "<u4") for seed in seeds], np.uint32).reshape(-1, 4)
    expected = [np.random.SeedSequence(seed).generate_state(4, np.uint64) for seed in seeds]
    np.testing.assert_array_equal(mix_seeds(words), np.array(expected, np.uint64).reshape(-1, 4))


@given(st.lists(st.tuples(st.text(max_size=12), st.floats(2**-40, 1.0)), max_size=12))
def test_a_key_happens_by_its_digest_and_has_the_generator_of_its_digest(keys: list[tuple[str, float]]) -> None:
    expected = {}
    for index, (key, chance) in enumerate(keys):
        digest = hashlib.blake2b(key.encode(), digest_size=24).digest()
        if int.from_bytes(digest[:8], "little") < chance * 2**64:
            expected[index] = np.random.default_rng(int.from_bytes(digest[8:], "little"))
    found = dict(generators([key for key, _ in keys], [chance for _, chance in keys]))
    assert list(found) == list(expected)
    for index, rng in found.items():
        assert rng.integers(3, 7) == expected[index].integers(3, 7)
        np.testing.assert_array_equal(rng.uniform(-2.0, 2.0, 5), expected[index].uniform(-2.0, 2.0, 5))
