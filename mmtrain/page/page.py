"""The page about a run: one file that loads nothing, made from a run's directory alone.

`report.html` tells of no single person. `report-internal.html` shows points, exact counts and what the audit said in
full, and says that it must stay where the data are. Equal directories give equal bytes, but for the time on the page of
a run that is still training.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from mmbase.files import make_directory, write_bytes
from mmbase.names import METADATA, MODALITIES
from mmbase.version import VERSION
from mmtrain.aggregates.people import shown_count
from mmtrain.errors import TrainError
from mmtrain.page.calibration_rules import balanced_prevalence
from mmtrain.page.ending import why_ended
from mmtrain.page.facts import RunFacts, SplitCount, State, TargetFacts
from mmtrain.page.network_picture import draw_network
from mmtrain.page.pictures import Drawn, RunPictures, draw_pictures, write_plots
from mmtrain.page.reading import read_facts
from mmtrain.page.svg import inline_svg
from mmtrain.page.tables import (
    HIDDEN_WITHIN,
    NOT_SHOWN,
    confusions,
    count_rows,
    group_rows,
    group_titles,
    metric_rows,
    setting_rows,
    shown_groups,
    told_of,
)
from mmtrain.page.verdicts import judge
from mmtrain.privacy.finding import REMEDIES, TargetPrivacy, short_verdict_of
from mmtrain.privacy.tables import TITLES as PRIVACY_TITLES
from mmtrain.privacy.tables import attack_rows
from mmtrain.run import RunDirectory, remove_pages

OF_TABLES = ("confusion",)
"""Pictures that a page has as a table."""
METRIC, PRIVACY = "metric", "privacy"
_PLACED_ELSEWHERE = (METRIC, PRIVACY, *OF_TABLES)
"""Pictures that do not stand among those of the predictions."""
RELOAD_SECONDS = 30
"""After which a page in a browser loads itself again, while the run is training."""
LEVEL_WORDS = {"doubt": "do not believe", "care": "with care", "note": "worth knowing"}
SEVERITY_WORDS = {"critical": "critical, accepted", "warning": "warning", "note": "note"}


def write_page(run: RunDirectory, state: State, *, internal: bool = False) -> None:
    """Write the page of a run, and unless it is the internal one the pictures in `plots` of what is finished.

    Raises
    ------
    TrainError
        Participants of its cohort have withdrawn meanwhile; then there is no page.
    OSError
        It cannot be written.
    """
    mark = _mark_of(run)
    facts = read_facts(run, state)
    pictures = draw_pictures(facts, exact=internal)
    write_bytes(run.internal_report if internal else run.report, render_page(facts, pictures, exact=internal))
    if state == "finished" and not internal:
        make_directory(run.plots)
        write_plots(run.plots, pictures)
    if _mark_of(run) != mark:  # after the writing: a withdrawal that comes later finds the files
        remove_pages(run)
        raise TrainError("participants have withdrawn meanwhile")


def render_page(facts: RunFacts, pictures: RunPictures, *, exact: bool) -> bytes:
    """Return the page as UTF-8."""
    shown = replace(facts, targets=[told_of(target, exact=exact) for target in facts.targets])
    differing, equal = setting_rows(facts)
    return _render(
        facts=facts,
        internal=exact,
        title=page_title(facts),
        inputs=", ".join(map(input_title, facts.inputs)),
        judgement=judge(shown),
        level_words=LEVEL_WORDS,
        counts=count_rows(_counts_of_all(facts), exact=exact),
        why_ended=why_ended(facts),
        curves=_inlined(pictures.of_run, "run"),
        targets=[
            _target(
                target,
                pictures.of_targets[target.name],
                f"target{place}",
                exact=exact,
                privacy=facts.privacy_of(target.name),
            )
            for place, target in enumerate(facts.targets)
        ],
        findings=[_finding(finding, exact=exact) for finding in facts.audit],
        speed=_speed(facts),
        network=None if facts.network is None else Markup(draw_network(facts.network)),
        differing=differing,
        equal=equal,
        changes=[_change(change) for change in facts.changes],
        privacy_titles=PRIVACY_TITLES,
        reload_seconds=RELOAD_SECONDS if facts.state == "training" else None,
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC" if facts.state == "training" else "",
        version=VERSION,
    )


def _counts_of_all(facts: RunFacts) -> Mapping[str, SplitCount]:
    """Return the sizes of the splits, by class where all samples have the label of the run's one target."""
    if len(facts.targets) != 1:
        return facts.counts
    of_target = facts.targets[0].counts
    is_same = {split: count.samples for split, count in of_target.items()} == {
        split: count.samples for split, count in facts.counts.items()
    }
    return of_target if is_same else facts.counts


def page_title(facts: RunFacts) -> str:
    """Return what was predicted from what."""
    targets = [target.title for target in facts.targets]
    named = ", ".join(targets[:3]) + (f" and {len(targets) - 3} more" if len(targets) > 3 else "")
    return f"{named or 'Run'} from {', '.join(map(input_title, facts.inputs)) or 'unknown inputs'}"


def _target(
    target: TargetFacts, pictures: Mapping[str, Drawn], prefix: str, *, exact: bool, privacy: TargetPrivacy | None
) -> dict[str, Any]:
    """Return what the template says of one target."""
    rows = metric_rows(target, exact=exact)
    shown = told_of(target, exact=exact)
    told = [text for row in rows for text in (row.val, row.test)]
    return {
        "facts": target,
        "id": prefix,
        "rows": [row for row in rows if row.is_main],
        "more_rows": [row for row in rows if not row.is_main],
        "balanced_prevalence": balanced_prevalence(shown),
        "has_ranges": any(text.endswith(HIDDEN_WITHIN) for text in told),
        "has_hidden": NOT_SHOWN in told,
        "counts": count_rows(target.counts, exact=exact),
        "metric": _inlined({name: pictures[name] for name in pictures if name == METRIC}, prefix),
        "pictures": _inlined(
            {name: picture for name, picture in pictures.items() if name not in _PLACED_ELSEWHERE}, prefix
        ),
        "privacy": None if privacy is None else _privacy(privacy),
        "privacy_picture": _inlined({name: pictures[name] for name in pictures if name == PRIVACY}, prefix),
        "confusions": confusions(target, exact=exact),
        "group_titles": group_titles(target),
        "groups": group_rows(target, exact=exact),
        "num_hidden_groups": len(target.groups) - len(shown_groups(target, exact=exact)),
    }


def _privacy(privacy: TargetPrivacy) -> dict[str, Any]:
    """Return what the template says of attacks on one target."""
    return {
        "members": privacy.members,
        "others": privacy.others,
        "verdict": short_verdict_of(privacy),
        "remedy": REMEDIES[privacy.level],
        "notes": privacy.notes,
        "rows": attack_rows(privacy),
    }


def _inlined(pictures: Mapping[str, Drawn], prefix: str) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "svg": Markup(inline_svg(drawn.svg, f"{prefix}-{name}")),
            "heading": drawn.picture.heading,
            "caption": drawn.picture.caption,
            "description": drawn.picture.description,
        }
        for name, drawn in pictures.items()
    }


def _finding(finding: Mapping[str, Any], *, exact: bool) -> dict[str, str]:
    """Return a finding of the audit: its message names samples and values, so only the internal page has it."""
    number = finding.get("num_samples")
    return {
        "code": str(finding.get("code", "")),
        "severity": SEVERITY_WORDS.get(str(finding.get("severity")), str(finding.get("severity", ""))),
        "subject": str(finding.get("subject", "")),
        "samples": shown_count(number) if isinstance(number, int) and not exact else str(number or ""),
        "message": str(finding.get("message", "")) if exact else "",
        "remedy": str(finding.get("remedy", "")),
    }


def _change(change: Mapping[str, Any]) -> str:
    """Return what was changed of a run after it had begun."""
    since = f"after epoch {change.get('epoch')}, step {change.get('step')}"
    if change.get("finished"):
        return f"Ended with --finish {since}."
    settings = change.get("settings") or {}
    told = [f"{name} from {both.get('before')} to {both.get('after')}" for name, both in settings.items()]
    return f"{', '.join(told)}, {since}."


def _speed(facts: RunFacts) -> list[tuple[str, str]]:
    """Return what is said of how fast the run was."""
    speeds = sorted(entry["samples_per_second"] for entry in facts.epochs if "samples_per_second" in entry)
    waits = sorted(entry["wait_share"] for entry in facts.epochs if "wait_share" in entry)
    told = [("epochs trained", str(len(facts.epochs)))]
    if facts.minutes is not None:
        told.append(("minutes of training", f"{facts.minutes:,.1f}"))
    if speeds:
        told.append(("samples per second, median epoch", f"{speeds[len(speeds) // 2]:,.1f}"))
    if waits:
        told.append(("time spent waiting for data, median epoch", f"{waits[len(waits) // 2]:.1%}"))
    if facts.parameters is not None:
        told.append(("trained parameters", f"{facts.parameters:,}"))
    return told


def input_title(name: str) -> str:
    """Return what an input is called for people."""
    if name == METADATA:
        return "tabular data"
    return MODALITIES[name].title if name in MODALITIES else name


def _mark_of(run: RunDirectory) -> bytes:
    """Return what says who has withdrawn; empty where nobody has."""
    return run.withdrawn.read_bytes() if run.withdrawn.exists() else b""


def _render(**content: Any) -> bytes:
    return _template().render(content).encode()


@cache
def _template() -> Template:
    """Return the page's template, which takes many times as long to compile as to fill."""
    environment = Environment(
        loader=PackageLoader("mmtrain.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    environment.filters["whole_interval"] = whole_interval
    return environment.get_template("page.html.j2")


def whole_interval(text: str) -> str:
    """Return a number with its interval so that a narrow column breaks it before the bracket, not within.

    >>> len(whole_interval("0.81 (0.70 to 0.90)").split(" "))
    2
    """
    number, bracket, interval = text.partition(" (")
    return number + bracket + interval.replace(" ", "\N{NO-BREAK SPACE}")


def _unbroken(text: str) -> Markup:
    """Return a text whose options stay on one line: a browser would part them after their dashes."""
    return Markup(re.sub(r"(--[a-z][a-z-]*)", r'<span class="option">\1</span>', str(escape(text))))
