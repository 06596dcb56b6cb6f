"""The methods of a study as text for a paper, made of its own numbers and settings.

A report of a table says of methods only what a table can say. What was computed otherwise than in `mm` is not known
here, so nothing is said of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmbase.disclosure import hidden_places
from mmbase.names import MODALITIES, SPLITS
from mmdata.volume.connectome import CONNECTOMES
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings
from mmstudy.comparison.best import VALIDATION
from mmstudy.report.data import NOT_SHOWN, shown_counts
from mmstudy.report.facts import StudyFacts
from mmstudy.sweep.settings import BASELINE_METHOD
from mmstudy.wording import duration
from mmtrain.metrics.bootstrap import NUM_DRAWS

Content = Mapping[str, Any]
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}
_SPACES = {
    "MNI152-linear": "brought to MNI152 by an affine transform",
    "MNI152-nonlinear": "taken as they were warped to MNI152",
}
_METHODS = {
    "separate": "one network for each target and set of inputs",
    "shared": "one network for all targets that have the same inputs",
    "frozen": "an imaging network of several targets, taken as it is, with a head trained for each target",
    BASELINE_METHOD: "baselines, fitted at once",
}
_BALANCE = {
    "undersample": "classes of binary targets were balanced by undersampling in each epoch",
    "weight": "the loss weighted the classes of binary targets equally",
    "none": "classes of binary targets were left as frequent as they are",
}
_AUGMENTATION = {
    "precomputed": "from precomputed augmented copies",
    "on-device": "augmented anew in each epoch",
    "hybrid": "from precomputed augmented copies, augmented again in each epoch",
    "none": "without augmentation",
}


def methods_text(content: Content, facts: StudyFacts | None) -> list[str]:
    """Return the paragraphs.

    Parameters
    ----------
    content
        Of the report, as far as it is made.
    """
    paragraphs = [_targets(content), _models(content)]
    if facts is not None:
        paragraphs = [_participants(facts), paragraphs[0], *_preprocessing(facts), paragraphs[1]]
        paragraphs += _training(content, facts)
    paragraphs += [_judgement(content), *_tests(content), _graph(content), _versions(content, facts)]
    return paragraphs


def _participants(facts: StudyFacts) -> str:
    division, sizes = facts.division, facts.data.splits
    people = [sizes[split].participants for split in SPLITS]
    may_be_summed = not hidden_places(people)  # a small one would follow
    num_samples = sum(of.samples for of in sizes.values())
    total = f"{num_samples:,} imaging visits of {sum(people):,} participants" if may_be_summed else "participants"
    told = zip(shown_counts(people), SPLITS, strict=True)
    parts = ", ".join(f"{'some' if number == NOT_SHOWN else number} for {SPLIT_WORDS[split]}" for number, split in told)
    how = (
        "Test participants were those of a given list"
        if division.test_list
        else "Participants were divided by a keyed hash "
        f"(shares {division.val:g} for validation, {division.test:g} for test)"
    )
    strata = f", stratified by {_listed(division.stratify)}" if division.stratify else ""
    kin = ", with relatives in the same split" if division.kinship else ""
    return f"The study has {total}: {parts}. {how}{strata}{kin}; all visits of a participant are in the same split."


def _targets(content: Content) -> str:
    kinds = [target["kind"] for target in content["targets"]]
    domains = _listed([domain for domain in content["domains"] if domain])
    return (
        f"{len(kinds)} targets were predicted, {kinds.count('continuous')} continuous and {kinds.count('binary')} "
        f"binary{f', of the domains {domains}' if domains else ''}, from {len(content['sets'])} sets of inputs made of "
        f"{_listed([of['title'] for of in content['inputs']])}."
    )


def _preprocessing(facts: StudyFacts) -> Iterator[str]:
    volumes: VolumeSettings = facts.volumes
    low, high = volumes.clamp_percentiles
    region = "the brain" if volumes.clamp_region == "brain" else "the whole volume"
    maps = {name: volumes.map_of(name) for name in volumes.modalities}
    images = _listed([MODALITIES[name].title + (f" ({of})" if of else "") for name, of in maps.items()])
    sides = _listed([f"{side}³ voxels of {volumes.extent_mm / side:g} mm" for side in volumes.sides])
    coarser = "; coarser ones are block means" if len(volumes.sides) > 1 else ""
    yield (
        f"Skull-stripped volumes of {images} were {_SPACES[volumes.space]}, and sampled once, by linear interpolation, "
        f"on a cube of {volumes.extent_mm:g} mm ({sides}{coarser}). Intensities were clamped to the {low:g}th and "
        f"{high:g}th percentile of {region}, divided by the upper one, and stored as {volumes.dtype}."
    )
    connectivity: ConnectivitySettings = facts.connectivity
    if connectivity.enabled:
        form = "Fisher's z of correlations" if connectivity.fisher_z else "correlations"
        about = CONNECTOMES[connectivity.name]
        yield f"Connectivity is {about.num_edges:,} edges ({connectivity.name}: {about.description}), as {form}."


def _models(content: Content) -> str:
    models, series = content["models"], content["series"]
    counts = [models["series"].count(place) for place in range(len(series))]
    parts = [
        f"{count:,} of the series {of['title']}" + (f" ({_METHODS[of['method']]})" if of["method"] in _METHODS else "")
        for of, count in zip(series, counts, strict=True)
    ]
    hours = content["about"]["hours"]
    took = f" Training took {duration(hours)} in all." if hours else ""
    return f"Models that are compared: {'; '.join(parts)}.{took}"


def _training(content: Content, facts: StudyFacts) -> Iterator[str]:
    """Say how the networks of each series were trained; baselines have no epochs."""
    for place, series in enumerate(content["series"]):
        if series["method"] == BASELINE_METHOD:
            continue
        settings = [facts.settings[run] for run in _runs_of(content, place) if run in facts.settings]
        if not settings:
            continue
        told = {name: _values(settings, name) for name in settings[0]}
        yield (
            f"Series {series['title']}: volumes of side {told['side']}, {_augmentation(settings)}; "
            f"Adam with learning rate {told['learning_rate']} ({told['schedule']} schedule), batches of "
            f"{told['batch_size']}, {_stopping(settings)}; the epoch with the lowest validation loss was tested. "
            f"The penalty of weights was {told['weight_penalty']}; {_words(settings, 'balance', _BALANCE)}. "
            f"Seeds: {told['seed']}."
        )


def _stopping(settings: Sequence[Mapping[str, Any]]) -> str:
    """Say when training ends; patience that is as long as the training stops nothing."""
    epochs, patience = (_values(settings, name) for name in ("epochs", "patience"))
    if all(int(of["patience"]) >= int(of["epochs"]) for of in settings):
        return f"{epochs} epochs"
    return f"at most {epochs} epochs, stopped after {patience} without a lower validation loss"


def _judgement(content: Content) -> str:
    chosen_on = set(content["best"]["chosen_on"])
    where = "validation score" if chosen_on == {VALIDATION} else "test score"
    if len(chosen_on) > 1:
        where = "validation score, or the best test score where there is none"
    intervals = any(low is not None for low in content["models"]["score_low"])
    drawn = (
        f" Intervals are 95 % percentiles of {NUM_DRAWS:,} bootstrap draws of test participants, each with all visits."
        if intervals
        else ""
    )
    return (
        "A score is R² of a continuous target, and balanced accuracy of a binary one (class 1 from a probability of "
        f"0.5), on test. The best set of inputs of a target is that with the best {where}.{drawn}"
    )


def _tests(content: Content) -> Iterator[str]:
    if content["differences"]["family"]:
        yield (
            "Two models were compared on the same test participants: if each participant's two predictions could as "
            "well have been swapped, p is how often the difference is as large, counted or by a saddlepoint "
            "approximation. p was adjusted in each family of comparisons by Benjamini and Hochberg (q); differences "
            f"with q at most 0.05 are called found. Intervals are of the same {NUM_DRAWS:,} draws for both models."
        )
    if content["effects"]["term"]:
        yield (
            "What each input adds was estimated for each domain by a linear mixed model of the scores: one fixed "
            "effect for each input and a random intercept for each target, by restricted maximum likelihood, with t "
            "tests of n − targets − effects degrees of freedom; p was not adjusted."
        )


def _graph(content: Content) -> str:
    measures = {edges["title"]: edges["told"] for edges in content["edges"]}
    told = " ".join(f"{title[:1].upper()}{title[1:]}. {sentence}" for title, sentence in measures.items())
    communities = content["communities"]
    found = f" Communities of targets: {communities['method']}" if communities else ""
    return f"Edges of the graph of targets. {told}{found}"


def _versions(content: Content, facts: StudyFacts | None) -> str:
    made = f"The report was made by {content['about']['made_by']} on {content['about']['made_on']}."
    if facts is None or not facts.versions:
        return made
    parts = [f"{package} {' and '.join(versions)}" for package, versions in facts.versions.items()]
    return f"Models were trained with {_listed(parts)}. {made}"


def _runs_of(content: Content, series: int) -> list[str]:
    models = content["models"]
    found = zip(models["series"], models["runs"], strict=True)
    return list(dict.fromkeys(run for of, runs in found if of == series for run in runs))


def _values(settings: Sequence[Mapping[str, Any]], name: str) -> str:
    """Return the values that a setting has in runs, in words.

    >>> _values([{"seed": 1}, {"seed": 3}, {"seed": 1}], "seed")
    '1 and 3'
    """
    return _listed(list(dict.fromkeys(str(of.get(name)) for of in settings)))


def _augmentation(settings: Sequence[Mapping[str, Any]]) -> str:
    """Say how volumes were changed; a run that reads copies of which there are none changes nothing by that."""
    without_copies = {"precomputed": "none", "hybrid": "on-device"}
    modes = [
        {"augment": without_copies.get(of["augment"], of["augment"]) if of.get("copies") == 0 else of["augment"]}
        for of in settings
    ]
    return _words(modes, "augment", _AUGMENTATION)


def _words(settings: Sequence[Mapping[str, Any]], name: str, words: Mapping[str, str]) -> str:
    return _listed(list(dict.fromkeys(words.get(str(of.get(name)), str(of.get(name))) for of in settings)))


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them.

    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
