from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.data.cohort import Cohort
from mmtrain.data.order import choose_copies, epoch_batches
from mmtrain.data.portions import Portion, epoch_portions, require_portions
from mmtrain.errors import TrainError

NUM_COPIES = 3


def make_cohort(num_training: int) -> Cohort:
    """Training samples among others, on rows of another order, every seventh without copies, a third of class 1."""
    num = 2 * num_training
    position = np.arange(num)
    return Cohort(
        sample_ids=[f"{i:016x}" for i in range(num)],
        rows=position[::-1] * 3,
        splits=np.where(position % 2 == 0, "train", "val"),
        labels_NT=(position % 3 == 0).astype(np.float64)[:, None],
        targets=("target",),
        is_augmented=position % 7 != 0,
        features={},
        participants=position,
        groups={},
    )


def make_config(**changes: Any) -> RunConfig:
    given = {"target": "sex", "kind": "classification", "unit": "", "inputs": ("connectivity",), "balance": "none"}
    return parse_run_config(given | changes)


configs = st.builds(
    lambda batch_size, accumulate, **changes: make_config(
        batch_size=batch_size, accumulate=min(accumulate, batch_size // 2), **changes
    ),
    batch_size=st.integers(3, 40),
    accumulate=st.integers(1, 5),
    drop_last=st.booleans(),
    balance=st.sampled_from(["none", "undersample"]),
    copy_order=st.sampled_from(["by-sample", "by-epoch"]),
    seed=st.integers(0, 1000),
)
cohorts = st.integers(6, 120).map(make_cohort)
sizes = st.sampled_from([1, 2, 3, 4, 8])
epochs = st.integers(1, 50)


def portions_of(cohort: Cohort, config: RunConfig, epoch: int, size: int) -> list[list[Portion]]:
    """Return each rank's portions."""
    return [epoch_portions(cohort, config, epoch, num_copies=NUM_COPIES, rank=rank, size=size) for rank in range(size)]


def joined(portions: list[list[Portion]], name: str) -> list[list[int]]:
    """Return what all ranks read, part by part."""
    return [
        np.concatenate([getattr(portion.request, name) for portion in at_once]).tolist()
        for at_once in zip(*portions, strict=True)  # strict: no rank waits for one that has ended
    ]


@settings(deadline=None)
@given(cohorts, configs, epochs, sizes)
def test_all_ranks_together_read_the_batches_of_one(cohort: Cohort, config: RunConfig, epoch: int, size: int) -> None:
    one, many = portions_of(cohort, config, epoch, 1), portions_of(cohort, config, epoch, size)
    for name in ("positions", "rows", "copies"):
        assert joined(many, name) == joined(one, name)


@settings(deadline=None)
@given(cohorts, configs, epochs, sizes)
def test_every_sample_comes_once_in_the_order_of_the_batches(
    cohort: Cohort, config: RunConfig, epoch: int, size: int
) -> None:
    config = config.changed(balance="none", drop_last=False)
    members = cohort.members("train")
    parts = joined(portions_of(cohort, config, epoch, size), "positions")
    read = [position for part in parts for position in part]
    assert sorted(read) == members.tolist()
    batches = epoch_batches(
        members, config.optimisation.batch_size, seed=config.optimisation.seed, epoch=epoch, drop_last=False
    )
    assert len(parts) == len(batches) * config.optimisation.accumulate
    assert read == np.concatenate(batches).tolist()
    for index, batch in enumerate(batches):
        of_batch = parts[index * config.optimisation.accumulate : (index + 1) * config.optimisation.accumulate]
        assert [position for part in of_batch for position in part] == batch.tolist()
        assert max(map(len, of_batch)) - min(map(len, of_batch)) <= 1


@settings(deadline=None)
@given(cohorts, configs, epochs, sizes)
def test_a_portion_says_where_it_stands_in_its_part_and_its_batch(
    cohort: Cohort, config: RunConfig, epoch: int, size: int
) -> None:
    for index, at_once in enumerate(zip(*portions_of(cohort, config, epoch, size), strict=True)):
        shares = [len(portion.request.positions) for portion in at_once]
        assert max(shares) - min(shares) <= 1
        for rank, portion in enumerate(at_once):
            assert portion.start == sum(shares[:rank])
            assert portion.part_size == sum(shares)
            assert portion.begins_step == (index % config.optimisation.accumulate == 0)
            assert portion.ends_step == (index % config.optimisation.accumulate == config.optimisation.accumulate - 1)
    (alone,) = portions_of(cohort, config, epoch, 1)
    for first in range(0, len(alone), config.optimisation.accumulate):
        parts = alone[first : first + config.optimisation.accumulate]
        assert {portion.batch_size for portion in parts} == {sum(portion.part_size for portion in parts)}


@settings(deadline=None)
@given(cohorts, configs, epochs, sizes)
def test_a_sample_is_read_from_its_copy_of_the_epoch_and_one_without_copies_as_it_is(
    cohort: Cohort, config: RunConfig, epoch: int, size: int
) -> None:
    order = config.augmentation.copy_order
    chosen = choose_copies(cohort.sample_ids, NUM_COPIES, order=order, seed=config.optimisation.seed, epoch=epoch)
    for of_rank in portions_of(cohort, config, epoch, size):
        for portion in of_rank:
            positions = portion.request.positions
            assert (portion.request.rows == cohort.rows[positions]).all()
            expected = np.where(cohort.is_augmented[positions], chosen[positions], 0)
            assert (portion.request.copies == expected).all()


@settings(deadline=None, max_examples=200)
@given(cohorts, configs, sizes, st.booleans())
def test_exactly_the_batches_that_batch_norm_cannot_work_on_are_refused(
    cohort: Cohort, config: RunConfig, size: int, sync: bool
) -> None:
    config = config.changed(sync_batch_norm=sync)
    possible = True
    for epoch in (1, 2, 7):
        for at_once in zip(*portions_of(cohort, config, epoch, size), strict=True):
            shares = [len(portion.request.positions) for portion in at_once]
            possible &= min(shares) >= 1 and sum(shares) >= 2 if sync else min(shares) >= 2
    if possible:
        require_portions(cohort, config, size)
    else:
        with pytest.raises(TrainError, match=rf"too small for {size} ranks") as caught:
            require_portions(cohort, config, size)
        assert "\n" not in str(caught.value)
