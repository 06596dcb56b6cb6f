import re

from mmtrain.page.facts import Block, Branch, NetworkFacts
from mmtrain.page.network_picture import draw_network


def test_boxes_are_wider_than_their_texts() -> None:
    title = "FLAIR, T1, diffusion, susceptibility"
    network = NetworkFacts(
        name="fusion",
        branches=(
            Branch(title, "64³ voxels", Block("imaging CNN", 1_022_576)),
            Branch("connectivity", "64,620 edges", Block("connectivity MLP", 8_288_512)),
        ),
        head=Block("head", 141_057),
        outputs=("age: 1 output",),
        num_parameters=9_452_145,
    )
    svg = draw_network(network)
    widths = [float(width) for width in re.findall(r'<rect [^>]* width="([\d.]+)"', svg)]
    lefts = [float(left) for left in re.findall(r'<rect [^>]* x="([\d.-]+)"', svg)]
    whole = float(re.findall(r'viewBox="0 0 ([\d.]+) ', svg)[0])
    assert min(widths[:4]) > 6.4 * len(title) + 12  # bold letters of 11.5 px are some 6.4 px wide
    assert all(left >= 0 and left + width <= whole for left, width in zip(lefts, widths, strict=True))
    assert lefts[2] > lefts[0] + widths[0]
