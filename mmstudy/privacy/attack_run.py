"""Attack a finished run: tell who it was trained on from what it predicts, and say how well that goes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdata.study import Study
from mmstudy.on_record import today
from mmstudy.privacy.shadows import find_shadow_runs, read_shadows
from mmstudy.privacy.training_predictions import predict_training_samples, read_predictions, unless_withdrawn
from mmstudy.progress import Progress
from mmstudy.results.read import RunResult, read_results, read_run
from mmtrain.aggregates.people import shown_count
from mmtrain.data.cohort import read_cohort
from mmtrain.data.order import derive_seed
from mmtrain.page.facts import CLASSIFICATION
from mmtrain.privacy.attack import measure_attack
from mmtrain.privacy.candidates import Candidates, find_candidates, losses, signals
from mmtrain.privacy.finding import CHANCE, Attack, RunPrivacy, TargetPrivacy, write_privacy
from mmtrain.privacy.likelihood import likelihood_ratios, match_people
from mmtrain.run import RunDirectory

NO_SHADOWS = (
    "No likelihood ratio attack: it needs runs of the same settings with other splits, so that for enough members and "
    "others one run was trained on both, and another on neither. All runs of four folds or more are enough "
    "(mm train --fold K/N)."
)
LABEL_DIFFERENCE = 0.02
"""Of the AUC of the label alone from chance, from which it is told."""
_BY_LABEL = "labels"
_WITHOUT_CENTRE = "without-centre-"


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackedRun:
    """What attacks on a run came to."""

    directory: RunDirectory
    privacy: RunPrivacy
    was_predicted_again: bool
    """The run had no predictions of its training samples."""


def attack_run(study: Study, run_id: str, device: str, progress: Progress) -> AttackedRun:
    """Attack a run and keep what is found in its privacy.json.

    Parameters
    ----------
    device
        Where training samples are predicted, if that has to be: auto, cpu, cuda or cuda:N.

    Raises
    ------
    TrainError, mmdata.errors.StoreError
        There is no such run, it is not finished or a wiring check, or a file of it or a store cannot be used.
    StudyError
        Participants have withdrawn meanwhile.
    """
    results = read_run(study, run_id)
    directory = results[0].directory
    is_lacking = not directory.training_predictions.exists()
    if is_lacking:
        predict_training_samples(study, results, device, progress)
    with unless_withdrawn(directory, directory.privacy):
        others = read_results(study).results
        found = []
        with progress("attacked targets") as on_progress:
            for result in results:
                found.append(_attack_target(result, others))
                on_progress(len(found), len(results))
        privacy = RunPrivacy(date=today(), targets=found)
        write_privacy(directory.privacy, privacy)
    return AttackedRun(directory=directory, privacy=privacy, was_predicted_again=is_lacking)


def _attack_target(result: RunResult, others: Sequence[RunResult]) -> TargetPrivacy:
    """Return what is found of a target."""
    trained, held_out = read_predictions(result.directory, result.target)
    people = find_candidates(trained, held_out, read_cohort(result.directory.cohort))
    seed = derive_seed(result.config.optimisation.seed, "privacy", result.target)
    is_binary = result.kind == CLASSIFICATION
    attacks, notes = [], list(_of_splits(result))
    if (by_loss := _by_loss(people, seed, is_binary=is_binary)) is not None:
        attacks.append(by_loss)
        notes += _of_labels(people, seed)
        shadows = find_shadow_runs(result, others)
        by_likelihood = _by_likelihood(people, shadows.usable, result.target, seed, is_binary=is_binary)
        if by_likelihood is None:
            notes.append(NO_SHADOWS)
        else:
            attacks.append(by_likelihood)
        if shadows.lacking:
            notes.append(f"These runs could help, once mm privacy was asked for each: {', '.join(shadows.lacking)}.")
    return TargetPrivacy(
        target=result.target,
        members=shown_count(people.num_members),
        others=shown_count(people.num_others),
        attacks=attacks,
        notes=notes,
    )


def _by_loss(people: Candidates, seed: int, *, is_binary: bool) -> Attack | None:
    """Return what the loss threshold attack comes to; its threshold is the mean loss of members, as in Yeom et al."""
    if not people.num_members:
        return None
    loss = losses(people.truth, people.prediction, is_binary=is_binary)
    threshold = -float(loss[people.is_member].mean())
    figures = measure_attack(-loss, people.is_member, threshold, seed)
    return None if figures is None else Attack(name="loss threshold", figures=figures)


def _by_likelihood(
    people: Candidates, runs: Sequence[RunResult], target: str, seed: int, *, is_binary: bool
) -> Attack | None:
    """Return what the likelihood ratio attack comes to; None where there are too few shadows."""
    if not runs:
        return None
    every = read_shadows(runs, people, target, is_binary=is_binary)
    matched = match_people(every, people.is_member, np.random.default_rng(seed))
    ratio = likelihood_ratios(signals(people.truth, people.prediction, is_binary=is_binary), matched)
    if ratio is None:
        return None
    known = ~np.isnan(ratio)
    figures = measure_attack(ratio[known], people.is_member[known], 0.0, seed)
    return None if figures is None else Attack(name="likelihood ratio", figures=figures, shadows=len(runs))


def _of_labels(people: Candidates, seed: int) -> list[str]:
    """Say where members and others differ in the label itself, so that figures tell of that too."""
    extremes = np.abs(people.truth - np.median(people.truth))
    for score, what in ((people.truth, "larger or smaller"), (extremes, "more or less extreme")):
        figures = measure_attack(score, people.is_member, np.inf, derive_seed(seed, _BY_LABEL))
        if figures is None or figures.auc.low is None or figures.auc.high is None:
            continue
        is_certain = not figures.auc.low <= CHANCE <= figures.auc.high
        if is_certain and abs(figures.auc.value - CHANCE) >= LABEL_DIFFERENCE:
            return [
                f"Members have {what} labels than others: the label alone tells them apart (AUC {figures.auc.value}), "
                "so a part of each figure may be that and no memory."
            ]
    return []


def _of_splits(result: RunResult) -> list[str]:
    """Say where members and others are of different kinds by the way they were divided."""
    if result.config.data.split.startswith(_WITHOUT_CENTRE):
        return ["Others are of another centre than members, so a part of each figure may be that and no memory."]
    return []
