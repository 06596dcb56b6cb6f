"""The kinds of functional connectivity that UK Biobank offers, and what each is made of.

A connectome of time series is named for its parcellation and number of regions; one of edges for UK Biobank's ICA
dimensionality. Sources: UK Biobank showcase, fields 25750 to 25753, 31015, 31016, 31018 and 31019.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Connectome:
    """One kind of connectivity."""

    field: int
    """UK Biobank's bulk field."""
    num_regions: int
    member: str = ""
    """Gzipped csv of regional time series in the archive; empty where the field is a text file of edges."""
    description: str

    @property
    def num_edges(self) -> int:
        """Pairs of regions.

        >>> CONNECTOMES["glasser360"].num_edges
        64620
        """
        return self.num_regions * (self.num_regions - 1) // 2

    @property
    def is_timeseries(self) -> bool:
        """Whether edges are computed here, from time series."""
        return bool(self.member)


def _timeseries(field: int, num_regions: int, member: str, description: str) -> Connectome:
    return Connectome(field=field, num_regions=num_regions, member=f"fMRI.{member}.csv.gz", description=description)


_TIAN_REGIONS = {1: 16, 2: 32, 3: 50, 4: 54}
CONNECTOMES = {
    "glasser360": _timeseries(31016, 360, "Glasser", "Glasser HCP-MMP, right hemisphere first"),
    "aparc68": _timeseries(31015, 68, "aparc", "Desikan-Killiany"),
    **{
        f"schaefer{networks}n{parcels}": _timeseries(
            31018, parcels, f"Schaefer{networks}n{parcels}p", f"Schaefer, {networks} networks, {parcels} parcels"
        )
        for networks in (7, 17)
        for parcels in range(100, 1001, 100)
    },
    **{
        f"tian{regions}": _timeseries(31019, regions, f"Tian_Subcortex_S{scale}_3T", f"Tian subcortex, scale {scale}")
        for scale, regions in _TIAN_REGIONS.items()
    },
    "full25": Connectome(field=25750, num_regions=21, description="full correlation, 25 ICA components, scaled z"),
    "full100": Connectome(field=25751, num_regions=55, description="full correlation, 100 ICA components, scaled z"),
    "partial25": Connectome(
        field=25752, num_regions=21, description="partial correlation, 25 ICA components, scaled z"
    ),
    "partial100": Connectome(
        field=25753, num_regions=55, description="partial correlation, 100 ICA components, scaled z"
    ),
}
"""Every kind by the name of its array."""
