"""The text a release explains itself with; it names no participant."""

from mmbase.names import MODALITIES
from mmdata.sources.volume_files import ONLY_IMAGE, VOLUME_FILES
from mmdata.synth.layout import LAYOUTS, LayoutName
from mmdata.synth.marker import FIRST_WORDS
from mmdata.synth.table_form import TableForm, table_name

_DESCRIBED = ("t1", "flair", "dwi")
"""Volumes that `_ITEMS` describes."""
_ITEMS = """\
    20252             T1: T1/T1_unbiased_brain.nii.gz, T1/T1_brain_mask.nii.gz, T1/transforms/T1_to_MNI_linear.mat
    20253             T2 FLAIR on the T1's grid; about half have a matrix of their own, the others share the T1's
    20250             diffusion: dMRI/dMRI/dti_FA.nii.gz, dti_MD.nii.gz, dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat
    31016             fMRI.Glasser.csv.gz: 360 regions x 490 timepoints, right hemisphere first
    25751             1,485 correlations of 55 components, scaled Fisher z, upper triangle column by column
"""
_EXTRAS = """\
    20252, 20253      and images on the grid of MNI152_T1_1mm: T1_brain_to_MNI.nii.gz, T2_FLAIR_brain_to_MNI.nii.gz
    20250             and dti_MO, NODDI_ICVF, NODDI_OD, NODDI_ISOVF; on the grid of MNI152_T1_1mm
                      dMRI/TBSS/FA/dti_FA_to_MNI.nii.gz and dMRI/TBSS/stats/all_{FA,MD,MO,ICVF,OD,ISOVF}.nii.gz
    31018, 31019      time series of Schaefer7n100p, Schaefer17n100p; of Tian_Subcortex_S1_3T to S4_3T
    25750 25752 25753 correlations: full of 21 components, partial of 21 and of 55
"""
_TABLE_FORMS: dict[TableForm, str] = {
    "ukbconv-csv": "as ukbconv writes it",
    "ukbconv-tab": "as ukbconv's r and txt",
    "rap": "as the table exporter writes it, raw codes",
    "rap-tsv": "as the table exporter writes it, raw codes",
    "rap-multiselect": "with raw codes and several answers in one cell",
    "rap-labels": "as the table exporter writes it, labels for codes",
}
_FILES: dict[LayoutName, tuple[str, str, str]] = {
    "zips": (
        "UK Biobank lays out its own",
        "bulk/                 EID_FIELD_INSTANCE_0.zip or .txt; instance 2 is the imaging visit, 3 a repeat visit\n",
        "",
    ),
    "trees": (
        "UK Biobank lays out its own, unpacked",
        "bulk/                 EID_FIELD_INSTANCE_0/ or .txt; instance 2 is the imaging visit, 3 a repeat visit\n",
        "",
    ),
    "rap": (
        "UK Biobank's Research Analysis Platform is mounted",
        """\
Bulk/Brain MRI/       {T1,T2 FLAIR,dMRI,Connectomes,rfMRI}/<first 2 digits of the eid>/EID_FIELD_INSTANCE_0.zip or .txt;
                      instance 2 is the imaging visit, 3 a repeat visit
""",
        "",
    ),
    "bids": (
        "BIDS derivatives",
        """\
sub-EID/ses-N/anat/   T1w, and FLAIR on its grid (space-T1w); session 2 is the imaging visit, 3 a repeat visit
sub-EID/ses-N/dwi/    FA and MD on a grid of their own
    desc-brain        brain-extracted; a third of the participants has these and an affine to MNI152 for each grid,
                      a third has desc-preproc, images of the whole head, with a mask for each and the affine,
                      a third is brain-extracted and has no affine
    xfm.txt           ITK's text form; LPS+ points of MNI152 to points of the scan, as ITK resamples the scan to MNI152
""",
        "participants.tsv      age at the imaging visit, sex, handedness\n",
    ),
    "folder": (
        "the reference study's folder",
        """\
TRAIN/, TEST/         T1/EID_t1.nii.gz, FLAIR/EID_flair.nii.gz, DWI/EID_dwi.nii.gz (FA): brain-extracted, float32,
                      on a grid of 128 x 128 x 128 voxels of 1.5 mm in MNI152 space, RAS+; imaging visits only
connectivity.npy      64,620 correlations of 360 regions, upper triangle row by row; rows as in connectivity_ids.txt
""",
        "metadata.csv          features by name, UK Biobank's codes\n",
    ),
    "reference": (
        "the reference study's own folders",
        """\
TRAIN/, TEST/         T1/EID_t1.nii.gz, FLAIR/EID_flair.nii.gz, DWI/EID_dwi.nii.gz (FA): brain-extracted, clamped,
                      float32, 128 x 128 x 128 voxels of 1/0.7 mm in MNI152 space, x from right to left; the affine
                      is the identity; imaging visits only
    imaging_fmri_*    correlations of 360 regions, ids x 360 x 360; rows as in the text file of the same name
AUGMENTATIONS/TRAIN/  0 and 1: two augmented copies of each volume in TRAIN, in the same folders
""",
        "metadata_*.csv        row number, biobank_id, and features by name: classes from 0 on, no gaps\n",
    ),
}
"""What the layout is, where scans are, what the layout's own table is."""
_COMPLETE = ("reference",)
_WITH_ITEMS = ("zips", "trees", "rap")
_KINSHIP = """\
ukb_rel.dat           who is related to whom: ID1, ID2, HetHet, IBS0, Kinship
"""
_COMMON_FILES = """\
w12345_20260101.csv   a withdrawal list
truth.parquet         landmark positions and affines, for tests only: columns are described in mmdata/synth/truth.py
"""
_FAULTS_FILE = """\
faults.parquet        every scan that should be rejected, and why: mmdata/synth/faults/participants.py
"""
_PLANTED = """
Planted
    age (45 to 82)    ventricles and frontal sulci widen, frontal grey matter thins, FLAIR brightens around the frontal
                      ventricles, FA of the frontal white matter falls (MD rises), one network's connectivity loosens;
                      reaction time, LDL, HbA1c and hypertension rise weakly
    sex               head size, grey matter around the hippocampi (T1), a block of connectivity; weight, body fat, HDL,
                      haemoglobin
    psychology        the items share one latent trait
    All of it is local and differs between people of one age. The back of the brain has the same changes at random,
    whatever the age, and every scan has an arbitrary intensity scale, gamma and tissue contrast, so that neither mean
    intensity nor histogram says much. Scans of one person come at any angle, shift, head size and voxel axis direction.
    One participant, the phantom, shows small round cysts at the landmarks of truth.parquet in all volumes.
"""
_WRONG = """
Deliberately wrong
"""
_WRONG_ABSENT = """\
    about 6 % of participants lack each of T1, FLAIR, diffusion and connectivity, one missing independently of another
"""
_WRONG_ITEMS = """\
    a FLAIR without a matrix of its own whose T1 is missing cannot be normalised
    one T1 archive holds its members under T1/unusable/ (releases of 8 participants or more)
    one T1 archive is a valid zip whose T1_unbiased_brain.nii.gz ends in the middle
"""
_WRONG_IMAGES = """\
    one T1 is missing because it is unusable (releases of 8 participants or more), one ends in the middle
"""
_WRONG_EVERYWHERE = """\
    one participant with imaging is on the withdrawal list, next to one without imaging and one unknown person
"""
_WRONG_TABLE = """\
    the table has blanks, codes for missing answers (-1, -3) and placeholder dates (1900-01-01, 1902-02-02, 2037-07-07)
"""
_WRONG_EVERY = """\
    one participant more for every kind of fault, with the spoilt scan alone
"""


def readme_text(layout: LayoutName, table_form: TableForm | None, *, has_extras: bool, has_every_fault: bool) -> str:
    """Return the text of a release's ``README.txt``."""
    likeness, scans, table = _FILES[layout]
    has_items = layout in _WITH_ITEMS
    form = table_form or LAYOUTS[layout].table
    if isinstance(form, str):
        described = f"the table {_TABLE_FORMS[form]}; a tenth more participants than have imaging"
        table = f"{table_name(form):<22}{described}\n{_KINSHIP}"
    return "".join(
        [
            f"{FIRST_WORDS} ",
            f"It was made by `mm synth ukb`, laid out as {likeness}.\n\n",
            scans,
            f"{_ITEMS}{_other_items()}" if has_items else "",
            _EXTRAS if has_extras else "",
            table,
            _COMMON_FILES,
            _FAULTS_FILE if has_every_fault else "",
            _PLANTED,
            _WRONG,
            *(() if layout in _COMPLETE else (_WRONG_ABSENT, _WRONG_ITEMS if has_items else _WRONG_IMAGES)),
            _WRONG_EVERYWHERE,
            _WRONG_TABLE if has_items else "",
            _WRONG_EVERY if has_every_fault else "",
        ]
    )


def _other_items() -> str:
    others = {modality: files.ukb for modality, files in VOLUME_FILES.items() if modality not in _DESCRIBED}
    return "".join(
        f"    {files.field:<18}{MODALITIES[modality].title}: {files.images[ONLY_IMAGE].brain}\n"
        for modality, files in others.items()
    )
