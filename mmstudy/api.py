"""A study from Python: its samples, volumes, batches, runs and models, for a notebook or somebody's own trainer.

>>> from mmstudy.api import open_study
>>> study = open_study("study")                                                                        # doctest: +SKIP
>>> for batch in study.batches("age", inputs=["t1"], split="train", side=64, batch_size=32):           # doctest: +SKIP
...     batch["volumes"], batch["targets"], batch["sample_ids"]

No person's number comes out of it: samples are named by their keyed hash. docs/python.md shows each part at work.
"""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from catalog.database import open_catalog
from catalog.features import feature_columns
from catalog.splits.schemes import StudySplit, choose_scheme
from catalog.statements import fetch_frame
from mmbase.names import MODALITIES, SPLITS
from mmdata.errors import StudyError
from mmdata.store.array import open_array
from mmdata.store.schema import FIRST_AUGMENTED_COPY
from mmdata.study import Study
from mmdata.volume.preprocess import as_fractions
from mmstudy.batches import Batches, prepare_batches, require_batches
from mmstudy.dictionary import study_dictionary
from mmstudy.runs.arguments import parse_targets
from mmstudy.runs.begin import begin_run
from mmstudy.runs.enter import enter_run
from mmstudy.runs.folders import find_run_of_study, settle_folder
from mmstudy.runs.plan import plan_cohort, plan_run
from mmstudy.settings import load_study
from mmtrain.config.augmentation import AugmentMode
from mmtrain.device import choose_device
from mmtrain.errors import TrainError
from mmtrain.models.trained import TrainedModel, load_model
from mmtrain.observer import TrainingObserver
from mmtrain.stopping import TrainingStopped
from mmtrain.train import train

BATCH_SETTINGS = frozenset(
    {
        *("metadata_blocks", "keep_own_block", "data_size", "required_inputs", "volume_scaling"),
        *("feature_scaling", "copies", "copy_order", "drop_last", "stores", "prefetch_bytes"),
    }
)
"""Settings of a run that batches depend on, beside those that `OpenStudy.batches` names."""
_SAMPLES_SQL = """
    SELECT sample_id, instance, row, split
    FROM samples JOIN splits USING (sample_id)
    WHERE len($modalities) = 0 OR sample_id IN (
        SELECT sample_id FROM scans
        WHERE status = 'stored' AND list_contains($modalities, modality)
        GROUP BY sample_id HAVING count(*) = len($modalities)
    )
    ORDER BY row
"""


@dataclass(frozen=True, slots=True)
class Volume:
    """One scan on the study's grid."""

    values_XYZ: NDArray[np.float32]
    """From 0, the background, to 1, the scan's upper clamp; axes R, A, S."""
    affine_44: NDArray[np.float64]
    """Voxel indices to mm in the study's space, RAS+."""


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """An open study; see `open_study`."""

    study: Study

    def samples(
        self, *, split: str | None = None, inputs: Collection[str] = (), features: Sequence[str] = ()
    ) -> pl.DataFrame:
        """Return the samples with columns sample_id, instance, row, split and one for each feature, in order of rows.

        Parameters
        ----------
        split
            train, val or test; left out: all.
        inputs
            Modalities that have to be stored.
        features
            Names of the field dictionary, targets among them; null where missing.

        Raises
        ------
        CatalogError, StudyError
            The catalogue cannot be read, or there is no such split, modality or feature.
        """
        _require_known("split", [split] if split else [], SPLITS)
        _require_known("modality", inputs, MODALITIES)
        _require_known("feature", features, study_dictionary(self.study))
        with open_catalog(self.study.layout.catalog) as catalog:
            frame = fetch_frame(catalog, _SAMPLES_SQL, {"modalities": list(inputs)})
            frame = frame.with_columns(feature_columns(catalog, frame["row"], list(features)))
        return frame if split is None else frame.filter(pl.col("split") == split)

    def volume(self, sample_id: str, modality: str, *, side: int | None = None, copy: int = 0) -> Volume:
        """Return one stored volume.

        Parameters
        ----------
        side
            Resolution level; left out: the largest.
        copy
            An augmented copy; 0: the volume itself.

        Raises
        ------
        StudyError
            There is no such sample, or the modality is no volume.
        StoreError
            It is not stored.
        """
        if modality not in MODALITIES or MODALITIES[modality].kind != "volume":
            raise StudyError(f"Expected a volume, got {modality!r}.")
        found = self.samples().filter(pl.col("sample_id") == sample_id)
        if found.is_empty():
            raise StudyError(f"There is no sample {sample_id}.", "study.samples() names all.")
        row, layout = int(found["row"][0]), self.study.layout
        side = side or max(self.study.config.volumes.sides)
        array = open_array(layout.augmented_array(modality, side) if copy else layout.volume_array(modality, side))
        (stored,) = array.read_rows([(copy - FIRST_AUGMENTED_COPY, row) if copy else (row,)])
        original = open_array(layout.volume_array(modality, side)).attributes
        return Volume(as_fractions(stored), np.asarray(original["affine_ras"], np.float64))

    def batches(
        self,
        target: str | Sequence[str],
        *,
        inputs: Sequence[str] | None = None,
        split: str = "train",
        side: int | None = None,
        batch_size: int = 32,
        seed: int = 1337,
        augment: AugmentMode = "none",
        device: str = "auto",
        **settings: Any,
    ) -> Batches:
        """Return the batches of a split as `mm train` reads them; see `mmstudy.batches.Batches`.

        Parameters
        ----------
        target
            What to predict, or several; only samples with a label of one of them are read.
        inputs
            Any of flair, t1, dwi, connectivity, metadata; left out: the study's volumes.
        side
            Resolution level; left out: `train.side` of study.toml.
        batch_size
            Samples of a batch over all ranks.
        augment
            Of the split train: none, precomputed, on-device or hybrid.
        device
            Where the tensors are to be: auto, cpu, cuda or cuda:N.
        **settings
            Others of a run, by their names in docs/settings.md: those of `BATCH_SETTINGS`.

        Raises
        ------
        CatalogError, DataError, TrainError
            The study has not what is asked for.
        """
        given = {"seed": seed, "augment": augment, "device": device, "balance": "none", **settings}
        if inputs is not None:
            given["inputs"] = tuple(inputs)
        if side is not None:
            given["side"] = side
        require_batches(split, batch_size)
        if unused := sorted(settings.keys() - BATCH_SETTINGS):
            raise StudyError(f"Batches have no setting {unused[0]}.", f"There are {', '.join(sorted(BATCH_SETTINGS))}.")
        config, cohort = plan_cohort(self.study, _names(target), given, scheme=StudySplit())
        return prepare_batches(self.study.layout, config, cohort, split, batch_size)

    def train(
        self,
        target: str | Sequence[str],
        *,
        fold: str | None = None,
        leave_out_centre: int | None = None,
        accept: Collection[str] = (),
        preset: str | None = None,
        observers: Sequence[TrainingObserver] = (),
        runs: str | Path | None = None,
        **settings: Any,
    ) -> str:
        """Train a model in this process as `mm train` does; return the run's id.

        Parameters
        ----------
        fold, leave_out_centre, accept, preset, runs
            As the options of `mm train`.
        observers
            Who is told of each step and epoch.
        **settings
            By their names in docs/settings.md.

        Raises
        ------
        CatalogError, DataError, TrainError
            As `mm train`; also when it is stopped: the message says how to resume it.
        """
        scheme = choose_scheme(fold, leave_out_centre)
        folder = None if runs is None else settle_folder(self.study.layout, Path(runs))
        plan = plan_run(self.study, _names(target), settings, scheme=scheme, accepted=accept, preset=preset)
        run = begin_run(self.study, plan, folder)
        try:
            train(run, self.study.layout, plan.config, observers=observers)
        except TrainingStopped as stop:
            again = f"Resume it with: mm --study {self.study.layout.root} train --resume {run.run_id}"
            raise TrainError(f"The run {run.run_id} was stopped, with a checkpoint.", again) from stop
        for problem in enter_run(self.study, run):
            warnings.warn(problem, stacklevel=2)
        return run.run_id

    def runs(self) -> pl.DataFrame:
        """Return the finished runs with their metrics, one row for each run and target.

        Raises
        ------
        CatalogError
            The catalogue cannot be read.
        """
        with open_catalog(self.study.layout.catalog) as catalog:
            return fetch_frame(catalog, "SELECT * FROM runs ORDER BY run_id, target")

    def load(self, run_id: str, *, device: str = "cpu") -> TrainedModel:
        """Return the model of a run, which predicts from arrays.

        Parameters
        ----------
        device
            Where it computes: auto, cpu, cuda or cuda:N.

        Raises
        ------
        TrainError
            There is no such run, or it has no model yet.
        """
        run, _ = find_run_of_study(self.study.layout, run_id)
        return load_model(run.path, choose_device(device), torch.float32)


def open_study(path: str | Path) -> OpenStudy:
    """Open a study's directory.

    Raises
    ------
    StudyError
        There is none, or its settings cannot be used.
    """
    return OpenStudy(load_study(Path(path)))


def _require_known(what: str, names: Collection[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise StudyError(f"There is no {what} {name!r}.", f"There are {', '.join(known)}.")


def _names(target: str | Sequence[str]) -> list[str]:
    return parse_targets(target) if isinstance(target, str) else list(target)
