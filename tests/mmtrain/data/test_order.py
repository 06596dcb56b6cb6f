from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmtrain.data.order import balance_classes, choose_copies, derive_seed, epoch_batches

sizes = st.integers(1, 300)
batch_sizes = st.integers(2, 70)
seeds = st.integers(0, 2**31)
epochs = st.integers(1, 500)


def members_of(size: int) -> np.ndarray:
    """Return positions that do not start at 0 and have gaps."""
    return np.arange(size, dtype=np.int64) * 3 + 5


@given(sizes, batch_sizes, seeds, epochs)
def test_every_sample_comes_once_in_batches_of_nearly_equal_size(
    size: int, batch_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(members_of(size), batch_size, seed=seed, epoch=epoch, drop_last=False)
    assert sorted(np.concatenate(batches)) == list(members_of(size))
    lengths = [len(batch) for batch in batches]
    assert max(lengths) <= batch_size
    assert max(lengths) - min(lengths) <= 1
    assert len(batches) == (size + batch_size - 1) // batch_size


@given(sizes, batch_sizes, seeds, epochs)
def test_the_order_is_a_pure_function_of_seed_and_epoch(size: int, batch_size: int, seed: int, epoch: int) -> None:
    np.random.seed(0)  # noqa: NPY002 - the global state must make no difference
    first = epoch_batches(members_of(size), batch_size, seed=seed, epoch=epoch, drop_last=False)
    np.random.seed(1)  # noqa: NPY002
    again = epoch_batches(members_of(size), batch_size, seed=seed, epoch=epoch, drop_last=False)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]


@given(sizes, batch_sizes, seeds, epochs)
def test_drop_last_leaves_whole_batches_unless_there_is_only_one(
    size: int, batch_size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(members_of(size), batch_size, seed=seed, epoch=epoch, drop_last=True)
    seen = np.concatenate(batches).tolist()
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(members_of(size).tolist())
    if size < batch_size:
        assert [len(batch) for batch in batches] == [size]
    else:
        assert {len(batch) for batch in batches} == {batch_size}
        assert size - len(seen) < batch_size


@pytest.mark.parametrize("changed", [{"seed": 2}, {"epoch": 2}])
def test_another_seed_or_epoch_gives_another_order(changed: dict[str, int]) -> None:
    one, other = (
        np.concatenate(epoch_batches(members_of(100), 8, **({"seed": 1, "epoch": 1} | change), drop_last=False))
        for change in ({}, changed)
    )
    assert (one != other).sum() > 80


@given(st.lists(st.booleans(), min_size=2, max_size=200).filter(lambda xs: len(set(xs)) == 2), seeds, epochs)
def test_balanced_classes_are_equal_in_number_and_all_of_the_smaller_class_takes_part(
    labels: list[bool], seed: int, epoch: int
) -> None:
    members, values = members_of(len(labels)), np.asarray(labels, np.float64)
    chosen = balance_classes(members, values, seed=seed, epoch=epoch)
    assert len(set(chosen.tolist())) == len(chosen)
    label_of = dict(zip(members.tolist(), labels, strict=True))
    counts = Counter(label_of[position] for position in chosen.tolist())
    smaller = min(Counter(labels).values())
    assert counts == {True: smaller, False: smaller}
    assert balance_classes(members, values, seed=seed, epoch=epoch).tolist() == chosen.tolist()


def test_the_larger_class_is_drawn_anew_each_epoch() -> None:
    labels = np.asarray([1.0] * 10 + [0.0] * 90)
    drawn = [set(balance_classes(members_of(100), labels, seed=1, epoch=epoch).tolist()) for epoch in range(1, 60)]
    assert drawn[0] != drawn[1]
    assert set.union(*drawn) == set(members_of(100).tolist())


@given(st.integers(0, 12), seeds, epochs)
def test_every_sample_goes_through_all_its_copies(num_copies: int, seed: int, epoch: int) -> None:
    names = [f"{i:016x}" for i in range(20)]
    chosen = [
        choose_copies(names, num_copies, order="by-sample", seed=seed, epoch=e).tolist()
        for e in range(epoch, epoch + num_copies + 1)
    ]
    for of_sample in zip(*chosen, strict=True):
        assert sorted(of_sample) == list(range(num_copies + 1))


def test_samples_start_at_copies_of_their_own_and_do_not_depend_on_their_neighbours() -> None:
    names = [f"{i:016x}" for i in range(300)]
    together = choose_copies(names, 2, order="by-sample", seed=1, epoch=1)
    counts = np.bincount(together, minlength=3)
    assert counts.min() > 60
    assert choose_copies(names[7:8], 2, order="by-sample", seed=1, epoch=1).tolist() == together[7:8].tolist()


@given(st.integers(1, 12), seeds, st.integers(0, 500))
def test_by_epoch_all_samples_read_the_copy_that_the_reference_would(num_copies: int, seed: int, index: int) -> None:
    """Its copies are counted from 0 and all of them are augmented; ours are counted from 1."""
    chosen = choose_copies(["a", "b", "c"], num_copies, order="by-epoch", seed=seed, epoch=index + 1)
    assert chosen.tolist() == [index % num_copies + 1] * 3


def test_by_epoch_the_volume_itself_is_read_where_there_are_no_copies() -> None:
    assert choose_copies(["a", "b"], 0, order="by-epoch", seed=1, epoch=5).tolist() == [0, 0]


def test_seeds_are_63_bits_and_differ_by_purpose() -> None:
    derived = [derive_seed(1337, *key) for key in (("order", 1), ("order", 2), ("balance", 1), ("order",), ())]
    assert len(set(derived)) == 5
    assert all(0 <= seed < 2**63 for seed in derived)
    assert derive_seed(1338, "order", 1) not in derived
