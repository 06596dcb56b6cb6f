"""Plan a run on a study, and enter it when it has ended."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from polars import DataFrame

from catalog.audit.findings import Finding
from catalog.cohorts import build_cohort, write_cohort
from catalog.database import CATALOG_WAIT_SECONDS, open_catalog
from catalog.fields import Dictionary, find_target, metadata_features, shown_features
from catalog.runs import enter_run
from catalog.splits.schemes import SplitScheme
from mmdata.store.schema import VOLUME_MODALITIES
from mmdata.study import Study
from mmstudy.audit import findings_for_run
from mmstudy.dictionary import study_dictionary
from mmstudy.remote_stores import require_own_stores
from mmstudy.withdraw import require_present
from mmtrain.config import METADATA, TrainConfig, parse_train_config
from mmtrain.data.cohort import parse_cohort, read_cohort
from mmtrain.data.portions import require_portions
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory, create_run, find_run
from mmtrain.task import choose_device, open_run_stores
from mmtrain.withdrawn import require_unmarked


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """A run that can begin."""

    config: TrainConfig
    cohort: DataFrame
    left_out: Mapping[str, int]
    """Why samples that have everything are not in the cohort, and how many."""
    findings: tuple[Finding, ...]
    """What the audit says of the run's labels, splits and inputs; critical ones were accepted by the user."""
    accepted_in_vain: tuple[str, ...] = ()
    """Codes of findings that the user accepts and the audit does not have."""

    @property
    def split_sizes(self) -> dict[str, int]:
        """Return the number of samples of each split."""
        return {split: self.cohort.filter(self.cohort["split"] == split).height for split in ("train", "val", "test")}


def plan_run(
    study: Study,
    target: str,
    given: Mapping[str, Any],
    *,
    scheme: SplitScheme,
    accepted: Collection[str] = (),
    num_ranks: int = 1,
    audited: bool = True,
) -> RunPlan:
    """Return a new run, having made sure that the stores have what it reads and that its labels can be trusted.

    Parameters
    ----------
    given
        Settings that come before the study's own.
    scheme
        Who trains, validates and tests.
    accepted
        Codes of critical findings that the user accepts.
    num_ranks
        Among which each batch is to be divided.
    audited
        Look for mistakes in labels, splits and inputs; False where no result comes of the run.

    Raises
    ------
    CatalogError, DataError, TrainError
        A setting is wrong, the study has not what the run needs, or the audit has a critical finding.
    """
    dictionary = study_dictionary(study)
    config = _configure(study, dictionary, target, given, scheme)
    if config.augment in ("on-device", "none"):
        if config.copies:
            raise TrainError(f"--augment {config.augment} reads no copies; leave --copies {config.copies} out.")
        config = replace(config, copies=0)
    choose_device(config.device)
    stores = open_run_stores(study.layout, config)
    if config.augment == "hybrid" and not stores.num_copies:
        raise TrainError(
            "--augment hybrid reads copies, and there are none. Run: mm precompute-augs, or use on-device."
        )
    config = replace(config, copies=stores.num_copies)
    with open_catalog(study.layout.catalog) as catalog:
        selection = build_cohort(catalog, dictionary, [target], config.modalities, config.shown_features, scheme)
        findings = (
            findings_for_run(
                study,
                catalog,
                dictionary,
                target=target,
                shown=config.shown_features,
                modalities=config.modalities,
                cohort=selection.frame,
            )
            if audited
            else []
        )
    _refuse_critical(findings, accepted)
    require_portions(parse_cohort(selection.frame), config, num_ranks)
    if config.stores:
        require_own_stores(study, config, selection.frame["row"].to_list())
    return RunPlan(
        config=config,
        cohort=selection.frame,
        left_out=selection.left_out,
        findings=tuple(findings),
        accepted_in_vain=tuple(code for code in accepted if code not in {finding.code for finding in findings}),
    )


def begin_run(study: Study, plan: RunPlan) -> RunDirectory:
    """Make the directory of a planned run, with its settings and its cohort.

    Raises
    ------
    StudyError
        Participants of the cohort have withdrawn since it was planned.
    """
    run = create_run(study.layout.runs, plan.config, findings=[asdict(finding) for finding in plan.findings])
    try:
        write_cohort(plan.cohort, run.cohort)
        require_present(study.layout, plan.cohort["row"].to_list())
    except BaseException:
        shutil.rmtree(run.path)
        raise
    return run


def find_unfinished(study: Study, run_id: str, **changes: Any) -> tuple[RunDirectory, TrainConfig]:
    """Return a run that can go on, and its settings.

    Parameters
    ----------
    **changes
        Settings that may differ from those it began with: where it computes and reads, how often it saves.

    Raises
    ------
    TrainError
        There is none of that name, it is finished, or participants of its cohort have withdrawn.
    StudyError
        The stores elsewhere are not this study's.
    """
    run, config = find_run(study.layout.runs, run_id)
    if run.metrics.exists():
        raise TrainError(f"Run {run_id} is finished; its metrics are in {run.metrics}.")
    require_unmarked(run)
    config = parse_train_config({**config.to_json(), **changes})
    if config.stores:
        require_own_stores(study, config, read_cohort(run.cohort).rows.tolist())
    return run, config


def enter_runs(study: Study, run: RunDirectory) -> list[str]:
    """Enter a finished run into the catalogue; return others that are not entered because they cannot be read.

    Raises
    ------
    CatalogLockedError
        The catalogue is in use.
    """
    return enter_run(study.layout.catalog, run.path, wait_seconds=CATALOG_WAIT_SECONDS)


def _configure(
    study: Study, dictionary: Dictionary, target: str, given: Mapping[str, Any], scheme: SplitScheme
) -> TrainConfig:
    definition = find_target(dictionary, target)
    config = parse_train_config(
        {
            **asdict(study.config.train),
            "inputs": [modality for modality in VOLUME_MODALITIES if modality in study.config.volumes.modalities],
            "connectivity": study.config.connectivity.name,
            "augmentation": asdict(study.config.augment),
            "extent_mm": study.config.volumes.extent_mm,
            **given,
            "target": target,
            "kind": "classification" if definition.kind == "binary" else "regression",
            "unit": definition.unit,
            "split": str(scheme),
        }
    )
    if config.volume_inputs and config.side not in study.config.volumes.sides:
        raise TrainError(f"Side {config.side} is not stored; this study has {study.config.volumes.sides}.")
    if METADATA not in config.inputs:
        return config
    shown = shown_features(dictionary, target, config.metadata_blocks, keep_own_block=config.keep_own_block)
    return replace(config, features=tuple(metadata_features(dictionary, target)), shown_features=tuple(shown))


def _refuse_critical(findings: Collection[Finding], accepted: Collection[str]) -> None:
    critical = [finding for finding in findings if finding.severity == "critical" and finding.code not in accepted]
    if critical:
        told = " ".join(f"{finding.code}: {finding.message} {finding.remedy}" for finding in critical)
        codes = " ".join(f"--accept {code}" for code in dict.fromkeys(finding.code for finding in critical))
        raise TrainError(
            f"The audit has {len(critical)} critical findings about this run. {told} Mend them (mm audit shows all), "
            f"or train all the same with {codes}; the run records it."
        )
