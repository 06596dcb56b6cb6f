"""A picture of how well attacks tell members from others: ROC curves with logarithmic axes.

On them the left end can be read, where an attack is nearly always right about the few whom it names; see Carlini et al.
2022, Membership inference attacks from first principles, section III.
"""

from mmtrain.drawing.figures import BLUE, DASHED, GREY, ORANGE, Picture, new_figure
from mmtrain.privacy.finding import TargetPrivacy, figure_text, verdict_of

_LOOKS = {"loss threshold": (BLUE, "-", "o"), "likelihood ratio": (ORANGE, DASHED, "s")}


def draw_memberships(target: TargetPrivacy) -> Picture:
    """Draw the attacks on one target, of which there is one at least."""
    figure, axes = new_figure()
    smallest = min(rate for attack in target.attacks for point in attack.figures.curve for rate in point if rate > 0)
    axes.plot([smallest, 1], [smallest, 1], color=GREY, linewidth=1, label="chance")
    for attack in target.attacks:
        colour, stroke, marker = _LOOKS[attack.name]
        false, true = zip(*((x, y) for x, y in attack.figures.curve if x > 0 and y > 0), strict=True)
        label = f"{attack.name}, AUC {attack.figures.auc.value:.2f}"
        axes.plot(false, true, color=colour, linestyle=stroke, marker=marker, markersize=2.5, label=label)
    axes.set(xscale="log", yscale="log", xlabel="others taken for members", ylabel="members found")
    axes.set(xlim=(smallest / 1.1, 1.1), ylim=(smallest / 1.1, 1.1), aspect="equal")
    axes.legend(frameon=False, fontsize=7.5, loc="lower right")
    told = "; ".join(f"{attack.name}: AUC {figure_text(attack.figures.auc)}" for attack in target.attacks)
    return Picture(
        figure=figure,
        heading="Who was trained on",
        caption="The grey line is chance: an attack on it finds as many members as it takes others for members, by "
        "share. Points are ten people at least apart.",
        description=f"ROC curves of attacks with logarithmic axes. {told}. {verdict_of(target)}",
    )
