"""Plan a run on a study: its settings, its cohort, and what the audit says of it. Only the audit's answer is kept."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import polars as pl

from catalog.audit.findings import Finding, sort_findings
from catalog.cohorts import FEATURE_PREFIX, CohortSelection, build_cohort, split_sizes
from catalog.database import Connection, open_catalog
from catalog.fields import Dictionary, find_target, metadata_features, shown_features
from catalog.splits.schemes import SplitScheme
from mmbase.names import METADATA, VOLUME_MODALITIES
from mmdata.copies.stored import rows_with_every_copy
from mmdata.ledger.receipts import read_made_copies
from mmdata.study import Study
from mmdata.study_arrays import require_sides
from mmstudy.audit import findings_for_run
from mmstudy.dictionary import study_dictionary
from mmstudy.remote_stores import require_own_stores
from mmstudy.runs.comparable import Comparable, comparable_of
from mmstudy.runs.defaults import applicable_defaults, require_known, require_network_settings
from mmstudy.runs.reference import study_differences
from mmstudy.runs.trunk import require_apart, settle_trunk
from mmtrain.config.model import ModelConfig
from mmtrain.config.presets import REFERENCE, preset_settings
from mmtrain.config.run import RunConfig, parse_run_config
from mmtrain.data.cohort import parse_cohort
from mmtrain.data.portions import require_portions
from mmtrain.device import choose_device
from mmtrain.errors import TrainError
from mmtrain.models.registry import load_architecture
from mmtrain.ranks.independence import require_independence
from mmtrain.targets.registry import kind_of_definition, load_kind
from mmtrain.task import open_run_stores, shape_of_run


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """A run that can begin."""

    config: RunConfig
    cohort: pl.DataFrame
    comparable: Comparable
    left_out: Mapping[str, int]
    """Why samples that have everything are not in the cohort, and how many."""
    findings: tuple[Finding, ...]
    """What the audit says of the run's labels, splits and inputs; critical ones were accepted by the user."""
    accepted_in_vain: tuple[str, ...] = ()
    """Codes of findings that the user accepts and the audit does not have."""
    preset: str | None = None
    """Named set of settings that it was asked for with."""
    notes: tuple[str, ...] = ()
    """What else is to be known of it before it begins."""

    @property
    def split_sizes(self) -> dict[str, int]:
        """Return the number of samples of each split."""
        return split_sizes(self.cohort)


class CriticalFindingsError(TrainError):
    """The audit has critical findings about a run, and the user has not accepted them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.codes = tuple(dict.fromkeys(finding.code for finding in findings))
        self.told = tuple(f"{finding.code}: {finding.message} {finding.remedy}" for finding in findings)
        accept = " ".join(f"--accept {code}" for code in self.codes)
        super().__init__(
            f"The audit has {len(findings)} critical findings about this run. {' '.join(self.told)}",
            f"Mend them (mm audit shows all), or train all the same with {accept}; the run records it.",
        )


def plan_run(
    study: Study,
    targets: Sequence[str],
    given: Mapping[str, Any],
    *,
    scheme: SplitScheme,
    accepted: Collection[str] = (),
    num_ranks: int = 1,
    audited: bool = True,
    preset: str | None = None,
) -> RunPlan:
    """Return a new run, having made sure that the stores have what it reads and that its labels can be trusted.

    Parameters
    ----------
    targets
        What to predict; a sample needs a label of one of them at least.
    given
        Settings that come before the study's own, by their names in study.toml.
    scheme
        Who trains, validates and tests.
    accepted
        Codes of critical findings that the user accepts.
    num_ranks
        Among which each batch is to be divided.
    audited
        Look for mistakes in labels, splits and inputs; False where no result comes of the run.
    preset
        Named set of settings, which come before the study's own and behind those given.

    Raises
    ------
    CatalogError, DataError, TrainError
        A setting is wrong, the study has not what the run needs, or the audit has a critical finding.
    """
    dictionary = study_dictionary(study)
    config = _configure(study, dictionary, targets, given, scheme, preset_settings(preset))
    config = _settle_copies(study, settle_trunk(study, config, given, num_ranks))
    _require_network(study, config, num_ranks)
    with open_catalog(study.layout.catalog) as catalog:
        selection = _select(study, catalog, dictionary, config, scheme)
        require_apart(study, catalog, config, selection.frame)
        findings = _audit(study, catalog, dictionary, config, selection.frame) if audited else []
    _refuse_critical(findings, accepted)
    require_portions(parse_cohort(selection.frame), config, num_ranks)
    _require_own_stores(study, config, selection.frame)
    return RunPlan(
        config=config,
        cohort=selection.frame,
        comparable=comparable_of(config, selection.frame),
        left_out=selection.left_out,
        findings=tuple(findings),
        accepted_in_vain=tuple(code for code in accepted if code not in {finding.code for finding in findings}),
        preset=preset,
        notes=tuple(_notes(study, config, selection.frame, preset)),
    )


def plan_cohort(
    study: Study, targets: Sequence[str], given: Mapping[str, Any], *, scheme: SplitScheme
) -> tuple[RunConfig, pl.DataFrame]:
    """Return settings and cohort for a trainer that is not ours: no network is chosen, and no label audited.

    Raises
    ------
    CatalogError, DataError, TrainError
        A setting is wrong, or the study has not what is asked for.
    """
    dictionary = study_dictionary(study)
    config = _settle_copies(study, _configure(study, dictionary, targets, given, scheme))
    with open_catalog(study.layout.catalog) as catalog:
        cohort = _select(study, catalog, dictionary, config, scheme).frame
    _require_own_stores(study, config, cohort)
    return config, cohort


def _select(
    study: Study, catalog: Connection, dictionary: Dictionary, config: RunConfig, scheme: SplitScheme
) -> CohortSelection:
    """Select the cohort; samples whose source has not made every copy that the run reads are read as they are."""
    data = config.data
    names = [target.name for target in data.targets]
    selection = build_cohort(
        catalog, dictionary, names, data.cohort_modalities, data.shown_features, scheme, data_size=data.data_size
    )
    copied = rows_with_every_copy(study, data.volume_inputs, data.side, config.augmentation.copies or 0)
    if copied is None:
        return selection
    has_copies = pl.col("row").is_in(sorted(copied))
    return replace(selection, frame=selection.frame.with_columns(augmented=pl.col("augmented") & has_copies))


def _configure(
    study: Study,
    dictionary: Dictionary,
    targets: Sequence[str],
    given: Mapping[str, Any],
    scheme: SplitScheme,
    preset: Mapping[str, Any] = MappingProxyType({}),
) -> RunConfig:
    """Return the settings of a run: the study's, a preset's, those given, and what follows from its targets."""
    require_known(given)
    definitions = [find_target(dictionary, target) for target in targets]
    volumes = study.config.volumes
    settings = {
        "inputs": [modality for modality in VOLUME_MODALITIES if modality in volumes.modalities],
        **applicable_defaults(study, {**preset, **given}),
        "connectivity": study.config.connectivity.name,
        "augmentation": asdict(study.config.augment),
        "extent_mm": volumes.extent_mm,
        **preset,
        **given,
        "split": str(scheme),
    }
    regression = settings.get("regression") or load_architecture(settings.get("model", ModelConfig().model)).regression
    settings["targets"] = [
        {"name": target, "kind": kind_of_definition(definition.kind, regression), "unit": definition.unit}
        for target, definition in zip(targets, definitions, strict=True)
    ]
    config = parse_run_config(settings)
    require_network_settings(given, config.model.model)
    data = config.data
    if data.volume_inputs:
        require_sides(study.config, [data.side])
    if METADATA not in data.inputs:
        return config
    shown = [
        shown_features(dictionary, target, data.metadata_blocks, keep_own_block=data.keep_own_block)
        for target in targets
    ]
    features = [name for name in metadata_features(dictionary, targets[0]) if name not in targets]
    return config.changed(
        features=features, shown_features=[name for name in features if all(name in of_target for of_target in shown)]
    )


def _notes(study: Study, config: RunConfig, cohort: pl.DataFrame, preset: str | None) -> Iterator[str]:
    """Say in what a run is not what its preset or its settings let expect."""
    if preset == REFERENCE and (told := study_differences(study.config, config)):
        yield f"--preset {preset}: {told}"
    if METADATA in config.data.inputs and config.data.feature_scaling == "raw":
        shown = [FEATURE_PREFIX + name for name in config.data.shown_features]
        if num_incomplete := cohort.filter(pl.any_horizontal(pl.col(shown).is_null())).height:
            yield (
                f"--feature-scaling raw: {num_incomplete} of {cohort.height} samples lack a tabular feature; the mean "
                "of the training samples stands for it"
            )


def _settle_copies(study: Study, config: RunConfig) -> RunConfig:
    """Return the settings with the number of copies that there are; make sure that all that is read exists."""
    augment, copies = config.augmentation.augment, config.augmentation.copies
    if not config.augmentation.reads_copies:
        if copies:
            raise TrainError(f"--augment {augment} reads no copies; leave --copies {copies} out.")
        config = config.changed(copies=0)
    choose_device(config.execution.device)
    stores = open_run_stores(study.layout, config)
    if augment == "hybrid" and not stores.num_copies:
        raise TrainError(
            "--augment hybrid reads copies, and there are none. Run: mm precompute-augs, or use on-device."
        )
    if config.augmentation.copies is None and not stores.num_copies:
        _require_none_made(study, config)
    return config.changed(copies=stores.num_copies)


def _require_none_made(study: Study, config: RunConfig) -> None:
    """Refuse to train without copies where the study has made some of every volume: their arrays are gone."""
    data, made = config.data, read_made_copies(study.layout.receipts)
    num_copies = min((made.get((modality, data.side), 0) for modality in data.volume_inputs), default=0)
    if num_copies:
        where = config.execution.stores or study.layout.augmented.name
        raise TrainError(
            f"{num_copies} augmented copies of {', '.join(data.volume_inputs)} were made at side {data.side}, and "
            f"{where} does not hold those of all of them any more.",
            "Make them again with mm repair, or train without with --copies 0.",
        )


def _require_network(study: Study, config: RunConfig, num_ranks: int) -> None:
    """Refuse a network that cannot take these inputs, or that so many ranks cannot train together."""
    num_outputs = sum(load_kind(target.kind).num_outputs for target in config.data.targets)
    shape = shape_of_run(config, open_run_stores(study.layout, config), num_outputs)
    require_independence(config.model.model, shape, num_ranks)


def _require_own_stores(study: Study, config: RunConfig, cohort: pl.DataFrame) -> None:
    if config.execution.stores:
        require_own_stores(study, config, cohort["row"].to_list())


def _audit(
    study: Study, catalog: Connection, dictionary: Dictionary, config: RunConfig, cohort: pl.DataFrame
) -> list[Finding]:
    """Return what is to be said of each target of a run, once each."""
    found = [
        finding
        for target in config.data.targets
        for finding in findings_for_run(
            study,
            catalog,
            dictionary,
            target=target.name,
            shown=config.data.shown_features,
            modalities=config.data.modalities,
            cohort=cohort,
        )
    ]
    unique = [finding for index, finding in enumerate(found) if finding not in found[:index]]
    return unique if len(config.data.targets) == 1 else sort_findings(unique)


def _refuse_critical(findings: Collection[Finding], accepted: Collection[str]) -> None:
    critical = [finding for finding in findings if finding.severity == "critical" and finding.code not in accepted]
    if critical:
        raise CriticalFindingsError(critical)
