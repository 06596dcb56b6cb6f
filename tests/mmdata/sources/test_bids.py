from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmbase.records import FoundSources, ScanCandidate, Visit, participant_number
from mmdata.errors import SourceError
from mmdata.sources.bids import find_bids
from mmdata.volume.settings import VolumeSettings

Touch = Callable[..., Path]
MNI = "space-MNI152NLin6Asym"


def find(root: Path, *, dwi_map: str = "FA", space: str = "MNI152-linear") -> FoundSources:
    return find_bids(root, VolumeSettings(dwi_map=dwi_map, space=space))


def only(found: FoundSources) -> ScanCandidate:
    (scan,) = found.scans
    return scan


def test_raw_images_of_all_modalities_are_found_in_order_of_visit_and_modality(touch: Touch) -> None:
    root = touch(
        "dataset_description.json",
        "sub-11/ses-2/anat/sub-11_ses-2_T1w.nii.gz",
        "sub-9/ses-3/anat/sub-9_ses-3_T1w.nii",
        "sub-9/ses-3/anat/sub-9_ses-3_T1w.json",
        "sub-9/ses-2/anat/sub-9_ses-2_T1w.nii.gz",
        "sub-9/ses-2/anat/sub-9_ses-2_FLAIR.nii.gz",
        "sub-9/ses-2/anat/sub-9_ses-2_T2w.nii.gz",
        "sub-9/ses-2/dwi/sub-9_ses-2_dwi.nii.gz",
        "sub-9/ses-2/dwi/sub-9_ses-2_FA.nii.gz",
    )
    found = find(root)
    first, last = Visit(9, 2), Visit(11, 2)
    assert [(scan.visit, scan.modality) for scan in found.scans] == [
        *[(first, modality) for modality in ("dwi", "flair", "t1")],
        (Visit(9, 3), "t1"),
        (last, "t1"),
    ]
    assert all(scan.path.is_file() and scan.form == "image" and not scan.in_template_space for scan in found.scans)
    assert all(scan.mask_path is None and scan.transform_path is None for scan in found.scans)
    assert found.num_duplicates == 0


def test_without_a_session_the_visit_is_uk_biobanks_first_imaging_visit(touch: Touch) -> None:
    assert only(find(touch("sub-9/anat/sub-9_T1w.nii.gz"))).visit == Visit(9, 2)


def test_labels_are_kept_of_those_participants_with_images_whom_no_number_names(touch: Touch) -> None:
    names = ("OAS30001", "01", "1", "9000001")
    root = touch(*(f"sub-{name}/anat/sub-{name}_T1w.nii.gz" for name in names), "sub-X/func/sub-X_bold.nii.gz")
    found = find(root)
    assert {scan.visit.eid for scan in found.scans} == {participant_number(name) for name in names}
    assert found.labels == {participant_number("OAS30001"): "OAS30001", participant_number("01"): "01"}


def test_the_brain_extracted_image_is_preferred_and_needs_no_mask(touch: Touch) -> None:
    names = ("T1w", "desc-preproc_T1w", "desc-brain_T1w", f"{MNI}_desc-brain_T1w", "desc-brain_mask")
    root = touch(*(f"sub-9/anat/sub-9_{name}.nii.gz" for name in names))
    scan = only(find(root))
    assert (scan.path, scan.mask_path) == (root / "sub-9/anat/sub-9_desc-brain_T1w.nii.gz", None)
    assert find(root).num_duplicates == 0


def test_else_the_preprocessed_image_with_its_mask(touch: Touch) -> None:
    names = ("T1w", "desc-preproc_T1w", "desc-brain_mask", f"{MNI}_desc-brain_mask", f"{MNI}_desc-preproc_T1w")
    root = touch(*(f"sub-9/anat/sub-9_{name}.nii.gz" for name in names))
    scan = only(find(root))
    assert scan.path == root / "sub-9/anat/sub-9_desc-preproc_T1w.nii.gz"
    assert scan.mask_path == root / "sub-9/anat/sub-9_desc-brain_mask.nii.gz"


def test_an_image_with_its_mask_is_preferred_to_a_preprocessed_one_without(touch: Touch) -> None:
    root = touch(
        *(f"sub-9/anat/sub-9_{name}.nii.gz" for name in ("run-1_T1w", "run-1_desc-brain_mask", "desc-preproc_T1w"))
    )
    scan = only(find(root))
    assert scan.path == root / "sub-9/anat/sub-9_run-1_T1w.nii.gz"
    assert scan.mask_path == root / "sub-9/anat/sub-9_run-1_desc-brain_mask.nii.gz"


def test_without_masks_the_preprocessed_image_is_preferred(touch: Touch) -> None:
    root = touch("sub-9/anat/sub-9_T1w.nii.gz", "sub-9/anat/sub-9_desc-preproc_T1w.nii.gz")
    assert only(find(root)).path.name == "sub-9_desc-preproc_T1w.nii.gz"


def test_a_mask_of_other_entities_or_another_folder_is_no_mask_of_the_image(touch: Touch) -> None:
    root = touch(
        "sub-9/anat/sub-9_run-1_T1w.nii.gz",
        "sub-9/anat/sub-9_run-2_desc-brain_mask.nii.gz",
        "sub-9/anat/sub-9_run-1_desc-lesion_mask.nii.gz",
        "sub-9/dwi/sub-9_run-1_desc-brain_mask.nii.gz",
        "sub-9/dwi/sub-9_run-1_FA.nii.gz",
    )
    masks = {scan.modality: scan.mask_path for scan in find(root).scans}
    assert masks == {"t1": None, "dwi": root / "sub-9/dwi/sub-9_run-1_desc-brain_mask.nii.gz"}


@pytest.mark.parametrize("ending", ["txt", "mat"])
def test_the_affine_to_template_space_beside_an_image_is_its_transform(touch: Touch, ending: str) -> None:
    transform = f"sub-9/anat/sub-9_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.{ending}"
    root = touch("sub-9/anat/sub-9_desc-brain_T1w.nii.gz", transform)
    assert only(find(root)).transform_path == root / transform


@pytest.mark.parametrize(
    "name",
    [
        "sub-9_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.h5",
        "sub-9_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.txt",
        "sub-9_from-T1w_to-fsnative_mode-image_xfm.txt",
        "sub-9_from-T1w_to-MNI152NLin6Asym_mode-points_xfm.txt",
        "sub-9_from-T2w_to-MNI152NLin6Asym_mode-image_xfm.txt",
        "sub-9_run-2_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt",
        "sub-9_to-MNI152NLin6Asym_mode-image_xfm.txt",
        "sub-8_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt",
    ],
)
def test_other_transforms_are_not_the_images(touch: Touch, name: str) -> None:
    root = touch("sub-9/anat/sub-9_desc-brain_T1w.nii.gz", f"sub-9/anat/{name}")
    assert only(find(root)).transform_path is None


def test_the_transform_of_the_run_and_to_fsls_template_is_preferred(touch: Touch) -> None:
    names = (
        "from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt",
        "run-1_from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.txt",
        "run-1_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt",
    )
    root = touch("sub-9/anat/sub-9_run-1_T1w.nii.gz", *(f"sub-9/anat/sub-9_{name}" for name in names))
    transform_path = only(find(root)).transform_path
    assert transform_path == root / f"sub-9/anat/sub-9_{names[2]}"


def test_flair_and_dwi_take_the_t1s_transform_only_in_the_t1s_space(touch: Touch) -> None:
    transform = "sub-9/anat/sub-9_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt"
    own = "sub-8/anat/sub-8_from-FLAIR_to-MNI152NLin6Asym_mode-image_xfm.txt"
    root = touch(
        transform,
        own,
        "sub-9/anat/sub-9_space-T1w_FLAIR.nii.gz",
        "sub-9/dwi/sub-9_space-T1w_param-FA_dwimap.nii.gz",
        "sub-8/anat/sub-8_FLAIR.nii.gz",
        "sub-8/anat/sub-8_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt",
        "sub-8/dwi/sub-8_param-FA_dwimap.nii.gz",
    )
    transforms = {(scan.visit.eid, scan.modality): scan.transform_path for scan in find(root).scans}
    assert transforms == {
        (9, "flair"): root / transform,
        (9, "dwi"): root / transform,
        (8, "flair"): root / own,
        (8, "dwi"): None,
    }


@pytest.mark.parametrize(
    ("name", "dwi_map", "found"),
    [
        ("FA", "FA", True),
        ("param-FA_dwimap", "FA", True),
        ("model-tensor_param-fa_dwimap", "FA", True),
        ("desc-FA_dwi", "FA", True),
        ("desc-FA_dwimap", "FA", True),
        ("model-noddi_param-ICVF_dwimap", "ICVF", True),
        ("param-MD_dwimap", "FA", False),
        ("param-MD_desc-FA_dwimap", "FA", False),
        ("MD", "FA", False),
        ("desc-preproc_dwi", "FA", False),
        ("dwi", "FA", False),
        ("dwimap", "FA", False),
    ],
)
def test_a_diffusion_map_is_known_by_suffix_param_or_desc(touch: Touch, name: str, dwi_map: str, found: bool) -> None:
    root = touch(f"sub-9/dwi/sub-9_{name}.nii.gz")
    assert [scan.modality for scan in find(root, dwi_map=dwi_map).scans] == (["dwi"] if found else [])


def test_in_nonlinear_space_only_brains_in_the_template_count(touch: Touch) -> None:
    names = ("desc-brain_T1w", "space-MNI305_desc-brain_T1w", f"{MNI}_desc-preproc_T1w", f"{MNI}_desc-brain_FLAIR")
    root = touch(
        *(f"sub-9/anat/sub-9_{name}.nii.gz" for name in names),
        f"sub-9/dwi/sub-9_{MNI}_param-FA_dwimap.nii.gz",
        "sub-9/anat/sub-9_desc-brain_mask.nii.gz",
        "sub-9/anat/sub-9_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt",
    )
    found = find(root, space="MNI152-nonlinear")
    assert {scan.modality: scan.path.name for scan in found.scans} == {
        "flair": f"sub-9_{MNI}_desc-brain_FLAIR.nii.gz",
        "dwi": f"sub-9_{MNI}_param-FA_dwimap.nii.gz",
    }
    assert all(scan.in_template_space and scan.transform_path is None for scan in found.scans)
    touch(f"sub-9/anat/sub-9_{MNI}_desc-brain_mask.nii.gz")
    t1 = find(root, space="MNI152-nonlinear").scans[-1]
    assert (t1.modality, t1.path.name) == ("t1", f"sub-9_{MNI}_desc-preproc_T1w.nii.gz")
    assert t1.mask_path == root / f"sub-9/anat/sub-9_{MNI}_desc-brain_mask.nii.gz"


def test_fsls_template_is_preferred_and_another_is_no_duplicate(touch: Touch) -> None:
    spaces = ("space-MNI152Lin", "space-MNI152NLin2009cAsym", "space-MNI152NLin6Asym_res-1")
    root = touch(*(f"sub-9/anat/sub-9_{name}_desc-brain_T1w.nii.gz" for name in spaces))
    found = find(root, space="MNI152-nonlinear")
    assert only(found).path.name == "sub-9_space-MNI152NLin6Asym_res-1_desc-brain_T1w.nii.gz"
    assert found.num_duplicates == 0


def test_images_in_other_templates_are_not_native(touch: Touch) -> None:
    spaces = ("MNI152NLin6Asym", "fsaverage", "Talairach")
    assert find(touch(*(f"sub-9/anat/sub-9_space-{name}_T1w.nii.gz" for name in spaces))).scans == ()


def test_of_several_runs_the_first_is_preferred_and_the_others_are_its_copies(touch: Touch) -> None:
    root = touch(*(f"sub-9/anat/sub-9_run-{run}_{kind}.nii.gz" for run in (10, 2, 3) for kind in ("T1w", "FLAIR")))
    found = find(root)
    assert [[copy.path.name for copy in scan.copies] for scan in found.scans] == [
        [f"sub-9_run-{run}_{kind}.nii.gz" for run in (2, 3, 10)] for kind in ("FLAIR", "T1w")
    ]
    assert found.num_duplicates == 4


def test_each_copy_has_the_mask_and_transforms_of_its_own_run(touch: Touch) -> None:
    runs = [f"sub-9/anat/sub-9_run-{run}" for run in (1, 2)]
    transforms = [f"from-T1w_to-MNI152NLin6Asym_mode-image_xfm.{ending}" for ending in ("mat", "txt")]
    root = touch(
        *(f"{run}_{name}.nii.gz" for run in runs for name in ("T1w", "desc-brain_mask")),
        *(f"{run}_{transform}" for run in runs for transform in transforms),
    )
    found = [(copy.path, copy.mask_path, copy.transform_path) for copy in only(find(root)).copies]
    assert found == [
        (root / f"{run}_T1w.nii.gz", root / f"{run}_desc-brain_mask.nii.gz", root / f"{run}_{transform}")
        for run in runs
        for transform in transforms
    ]


def test_the_raw_image_is_a_copy_behind_the_derivatives(touch: Touch) -> None:
    root = touch("sub-9/anat/sub-9_T1w.nii.gz", "derivatives/a/sub-9/anat/sub-9_desc-brain_T1w.nii.gz")
    found = find(root)
    assert [copy.path.name for copy in only(found).copies] == ["sub-9_desc-brain_T1w.nii.gz", "sub-9_T1w.nii.gz"]
    assert found.num_duplicates == 0, "one acquisition, twice"


@pytest.mark.parametrize(
    "mask",
    [
        "sub-9/anat/sub-9_desc-brain_mask.nii",
        "sub-9/anat/sub-9_label-brain_mask.nii.gz",
        "sub-9/anat/sub-9_mask.nii.gz",
        "sub-9/anat/sub-9_T1w_brainmask.nii.gz",
        "sub-9/anat/sub-9_T1w_brain_mask.nii.gz",
        "sub-9/anat/sub-9_T1w_mask.nii.gz",
        "sub-9/anat/sub-9_brainmask.NII.GZ",
        "sub-9/anat/sub-9_space-T1w_desc-brain_mask.nii.gz",
        "derivatives/synthstrip/sub-9/anat/sub-9_desc-brain_mask.nii.gz",
        "derivatives/hd-bet/sub-9/anat/sub-9_space-T1w_label-brain_mask.nii.gz",
    ],
)
def test_a_mask_is_known_by_its_usual_names_beside_its_image_and_in_derivatives(touch: Touch, mask: str) -> None:
    root = touch("sub-9/anat/sub-9_T1w.nii.gz", mask)
    assert only(find(root)).mask_path == root / mask


@pytest.mark.parametrize(
    "mask",
    [
        "sub-9/anat/sub-9_desc-lesion_mask.nii.gz",
        "sub-9/anat/sub-9_label-GM_mask.nii.gz",
        "sub-9/anat/sub-9_lesion_mask.nii.gz",
        "sub-9/anat/sub-9_FLAIR_brainmask.nii.gz",
        "sub-9/anat/sub-9_run-2_mask.nii.gz",
        "sub-9/anat/sub-9_space-MNI152NLin6Asym_desc-brain_mask.nii.gz",
        "sub-9/anat/sub-9_desc-brain_mask.json",
        "derivatives/a/sub-8/anat/sub-8_desc-brain_mask.nii.gz",
        "derivatives/a/sub-9/dwi/sub-9_desc-brain_mask.nii.gz",
    ],
)
def test_other_masks_are_not_the_images(touch: Touch, mask: str) -> None:
    root = touch("sub-9/anat/sub-9_T1w.nii.gz", mask)
    assert [copy.mask_path for copy in only(find(root)).copies] == [None]


def test_the_mask_beside_the_image_is_preferred_and_named_as_specified(touch: Touch) -> None:
    names = [
        *(f"sub-9/anat/sub-9_{name}.nii.gz" for name in ("desc-brain_mask", "label-brain_mask", "mask")),
        "derivatives/a/sub-9/anat/sub-9_desc-brain_mask.nii.gz",
    ]
    root = touch("sub-9/anat/sub-9_T1w.nii.gz", *names)
    assert [copy.mask_path for copy in only(find(root)).copies] == [root / name for name in names]


@pytest.mark.parametrize("mask", ["sub-9/anat/sub-9_mask", "derivatives/a/sub-9/anat/sub-9_desc-brain_mask"])
def test_an_uncertain_mask_does_not_keep_the_image_from_being_read_without_it(touch: Touch, mask: str) -> None:
    root = touch("sub-9/anat/sub-9_T1w.nii.gz", f"{mask}.nii.gz")
    assert [copy.mask_path for copy in only(find(root)).copies] == [root / f"{mask}.nii.gz", None]


@pytest.mark.parametrize(
    "name",
    [
        "sub-9/anat/sub-9_desc-brain_t1w.nii.gz",
        "sub-9/anat/sub-9_desc-brain_T1w.NII.GZ",
        "SUB-9/anat/SUB-9_desc-brain_T1w.nii.gz",
        "Sub-9/Ses-2/Anat/sub-9_SES-2_T1W.Nii",
    ],
)
def test_letter_case_means_nothing_but_in_labels(touch: Touch, name: str) -> None:
    root = touch(name)
    assert (only(find(root)).visit, only(find(root)).path) == (Visit(9, 2), root / name)
    assert find(root).misnamed == ()


def test_folders_of_a_participant_in_two_letter_cases_are_one_participants(touch: Touch) -> None:
    root = touch("sub-A/anat/sub-A_T1w.nii.gz", "SUB-A/anat/SUB-A_FLAIR.nii.gz", "sub-a/anat/sub-a_T1w.nii.gz")
    found = find(root)
    assert sorted((found.labels[scan.visit.eid], scan.modality) for scan in found.scans) == [
        ("A", "flair"),
        ("A", "t1"),
        ("a", "t1"),
    ]


@pytest.mark.parametrize(
    ("name", "shown", "fault"),
    [
        ("sub-9/ses-2/anat/sub-9_T1w.nii.gz", "sub-…_T1w.nii.gz", "the session of its folder is missing"),
        ("sub-9/ses-2/anat/sub-8_ses-2_FLAIR.nii", "sub-…_ses-…_FLAIR.nii", "its folder is of another"),
        (
            "sub-9/anat/sub-9_ses-M00_T1w_space-X_desc-Crop_T1w.nii.gz",
            "sub-…_ses-…_T1w_space-…_desc-…_T1w.nii.gz",
            "<key>",
        ),
        ("sub-9/anat/sub-9_T1w (1).nii.gz", "sub-…_T1w (…).nii.gz", "expected sub-<label>"),
        ("sub-9/anat/sub-9_T1.nii.gz", "sub-…_T1.nii.gz", "expected the suffix T1w"),
        ("sub-9/anat/sub-9_T1w.mgz", "sub-…_T1w.mgz", "expected a file .nii.gz or .nii"),
        ("sub-9/anat/sub-9_T1w.nii.gz.part", "sub-…_T1w.nii.gz.part", "the download is not complete"),
        ("sub-9/sub-9_T1w.nii.gz", "sub-…_T1w.nii.gz", "expected in a folder anat"),
        ("sub-9_T1w.nii.gz", "sub-…_T1w.nii.gz", "expected in a folder sub-<label>"),
        ("sub-A_S_0295/anat/sub-A_S_0295_T1w.nii.gz", "sub-…_…_…_T1w.nii.gz", "a label of letters and digits"),
        ("sub_9/ses-1/anat/sub_9_T1w.nii.gz", "sub_…_T1w.nii.gz", "expected in a folder sub-<label>"),
        ("sub-9/ses-2010-03/anat/sub-9_T1w.nii.gz", "sub-…_T1w.nii.gz", "expected in a folder ses-<label>"),
        ("derivatives/x/sub-9/dwi/sub-9_param-FA_model_dwimap.nii.gz", "sub-…_param-…_model_dwimap.nii.gz", "<suffix>"),
    ],
)
def test_images_that_are_not_understood_are_counted_and_shown_without_labels(
    touch: Touch, name: str, shown: str, fault: str
) -> None:
    found = find(touch(name))
    (images,) = found.misnamed
    assert (found.scans, images.number, images.example) == ((), 1, shown)
    assert fault in images.fault


@pytest.mark.parametrize(
    "name",
    [
        "sub-9/anat/sub-9_T2w.nii.gz",
        "sub-9/func/sub-9_task-rest_bold.nii.gz",
        "sub-9/dwi/sub-9_dwi.nii.gz",
        "sub-9/anat/._sub-9_T1w (1).nii.gz",
        "sub-9/anat/sub-9_T1w.json",
        "sub-9/anat/sub-9_T1w_mask.nii.gz",
        "sub-9/anat/sub-9_space-MNI152NLin6Asym_T1w.nii.gz",
        "derivatives/qc/sub-9/figures/sub-9_T1w.nii.gz",
        "derivatives/qc/group_T1w.nii.gz",
    ],
)
def test_files_that_are_not_wanted_are_not_counted(touch: Touch, name: str) -> None:
    assert find(touch(name)).misnamed == ()


def test_derivatives_come_before_the_raw_images_and_make_no_duplicates(touch: Touch) -> None:
    root = touch(
        "sub-9/anat/sub-9_desc-brain_T1w.nii.gz",
        "sub-9/anat/sub-9_FLAIR.nii.gz",
        "sub-8/anat/sub-8_T1w.nii.gz",
        "derivatives/README",
        "derivatives/qc/sub-9/figures/sub-9_T1w.nii.gz",
        "derivatives/b prep/sub-9/anat/sub-9_desc-preproc_T1w.nii.gz",
        "derivatives/b prep/sub-9/anat/sub-9_desc-brain_mask.nii.gz",
        "derivatives/c prep/sub-9/anat/sub-9_desc-preproc_T1w.nii.gz",
        "derivatives/c prep/sub-9/anat/sub-9_desc-brain_mask.nii.gz",
        "derivatives/c prep/sub-9/anat/sub-9_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt",
        "derivatives/c prep/sub-7/ses-3/anat/sub-7_ses-3_T1w.nii.gz",
    )
    found = find(root)
    assert [scan.path.relative_to(root).as_posix() for scan in found.scans] == [
        "derivatives/c prep/sub-7/ses-3/anat/sub-7_ses-3_T1w.nii.gz",
        "sub-8/anat/sub-8_T1w.nii.gz",
        "sub-9/anat/sub-9_FLAIR.nii.gz",
        "derivatives/b prep/sub-9/anat/sub-9_desc-preproc_T1w.nii.gz",
    ]
    assert found.num_duplicates == 0
    assert found.scans[-1].transform_path is None, "another pipeline's transform is not of this image"


def test_a_pipelines_brain_image_is_preferred_to_another_pipelines_whole_head(touch: Touch) -> None:
    root = touch(
        "derivatives/a/sub-9/anat/sub-9_desc-preproc_T1w.nii.gz", "derivatives/b/sub-9/anat/sub-9_desc-brain_T1w.nii.gz"
    )
    assert only(find(root)).path.parent == root / "derivatives/b/sub-9/anat"


def test_of_two_pipelines_images_alike_the_first_pipelines_is_taken_whatever_its_file_name(touch: Touch) -> None:
    root = touch(
        "derivatives/a/sub-9/anat/sub-9_acq-z_desc-brain_T1w.nii.gz",
        "derivatives/b/sub-9/anat/sub-9_acq-a_desc-brain_T1w.nii.gz",
    )
    assert only(find(root)).path.parent == root / "derivatives/a/sub-9/anat"


def test_runs_that_a_pipeline_merged_are_no_duplicates(touch: Touch) -> None:
    root = touch(
        "derivatives/a/sub-9/anat/sub-9_desc-preproc_T1w.nii.gz",
        *(f"sub-9/anat/sub-9_run-{run}_T1w.nii.gz" for run in (1, 2)),
    )
    assert only(find(root)).path.name == "sub-9_desc-preproc_T1w.nii.gz"
    assert find(root).num_duplicates == 0


def test_files_that_are_not_named_for_their_folder_are_left_out(touch: Touch) -> None:
    root = touch(
        "sub-9/ses-2/anat/sub-9_T1w.nii.gz",
        "sub-9/ses-2/anat/sub-9_ses-3_T1w.nii.gz",
        "sub-9/ses-2/anat/sub-8_ses-2_T1w.nii.gz",
        "sub-9/ses-2/anat/T1w.nii.gz",
        "sub-9/ses-2/func/sub-9_ses-2_T1w.nii.gz",
        "sub-9/sub-9_T1w.nii.gz",
    )
    assert replace(find(root), misnamed=()) == FoundSources(scans=())


@pytest.mark.parametrize(
    ("sessions", "named"),
    [(("M12", "V12"), "ses-M12 and ses-V12"), (("", "2"), "no session and ses-2"), (("bl", "0"), "ses-0 and ses-bl")],
)
def test_two_sessions_that_are_one_visit_are_refused_by_their_labels(
    touch: Touch, sessions: tuple[str, str], named: str
) -> None:
    for session in sessions:
        folder, entity = (f"ses-{session}/", f"_ses-{session}") if session else ("", "")
        root = touch(f"sub-1000001/{folder}anat/sub-1000001{entity}_T1w.nii.gz")
    with pytest.raises(SourceError, match=f"{named} are both visit .*Rename") as caught:
        find(root)
    assert "1000001" not in str(caught.value).replace(str(root), "")


def test_a_session_in_several_datasets_is_one_visit(touch: Touch) -> None:
    name = "sub-9/ses-M12/anat/sub-9_ses-M12_{}.nii.gz"
    root = touch(name.format("T1w"), "derivatives/p/" + name.format("desc-brain_T1w"))
    assert only(find(root)).visit == Visit(9, 12)


def test_sessions_without_images_may_be_one_visit_with_others(touch: Touch) -> None:
    root = touch("sub-9/ses-2/func/sub-9_ses-2_bold.nii.gz", "sub-9/anat/sub-9_T1w.nii.gz")
    assert only(find(root)).visit == Visit(9, 2)


def test_tables_at_the_root_are_found_and_those_below_are_not(touch: Touch) -> None:
    contents = {
        "participants.tsv": b"participant_id\tage\n",
        "ukb.csv": b"eid,31-0.0\n",
        "withdraw12345_19.txt": b"1000001\n",
        "test_ids.txt": b"1000001\n",
        "samples.tsv": b"sample_id\tparticipant_id\n",
        "README.txt": b"Read me\n",
        "sub-9/sub-9_scans.tsv": b"participant_id\tage\n",
    }
    root = touch(*contents)
    for name, content in contents.items():
        (root / name).write_bytes(content)
    found = find(root)
    assert found.tables == (root / "participants.tsv", root / "ukb.csv")
    assert found.withdrawal_lists == (root / "withdraw12345_19.txt",)
    assert found.number_lists == (root / "test_ids.txt",)
    assert found.passed_over == (root / "samples.tsv",)


def test_tables_of_sessions_and_of_files_are_found_with_what_describes_them(touch: Touch) -> None:
    root = touch(
        "sessions.json",
        "sub-9/sub-9_sessions.tsv",
        "sub-9/sub-9_sessions.json",
        "sub-9/ses-3/anat/sub-9_ses-3_T1w.nii.gz",
        "sub-9/ses-3/sub-9_ses-3_scans.tsv",
        "sub-9/ses-2/sub-9_ses-2_scans.tsv",
        "sub-9/sub-9_scans.tsv",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/sub-01_scans.tsv",
        "sub-01/sub-02_sessions.tsv",
        "sub-funconly/sub-funconly_sessions.tsv",
        "derivatives/x/sub-9/sub-9_sessions.tsv",
        "derivatives/x/sub-01/sub-01_sessions.tsv",
    )
    own = root / "sub-9"
    found = {table.path: table for table in find(root).visit_tables}
    assert {path: (table.eid, table.kind, table.instance) for path, table in found.items()} == {
        own / "sub-9_sessions.tsv": (9, "sessions", None),
        own / "ses-2/sub-9_ses-2_scans.tsv": (9, "scans", 2),
        own / "ses-3/sub-9_ses-3_scans.tsv": (9, "scans", 3),
        root / "sub-01/sub-01_scans.tsv": (participant_number("01"), "scans", 2),
        root / "derivatives/x/sub-01/sub-01_sessions.tsv": (participant_number("01"), "sessions", None),
    }
    assert found[own / "sub-9_sessions.tsv"].sidecars == (root / "sessions.json", own / "sub-9_sessions.json")
    assert found[own / "ses-3/sub-9_ses-3_scans.tsv"].sidecars == ()
    assert "sub-" not in repr(found[own / "sub-9_sessions.tsv"])


def test_whose_images_have_no_session_is_known(touch: Touch) -> None:
    root = touch(
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-1/ses-5/func/sub-1_ses-5_bold.nii.gz",
        "sub-2/anat/sub-2_T1w.nii.gz",
        "sub-2/ses-3/anat/sub-2_ses-3_T1w.nii.gz",
        "sub-3/ses-2/anat/sub-3_ses-2_T1w.nii.gz",
    )
    assert find(root).sessionless == {1: True, 2: False}


def test_links_are_followed_and_a_pipeline_that_links_to_its_dataset_ends(touch: Touch) -> None:
    root = touch("store/anat/sub-9_T1w.nii.gz", "derivatives/x")
    (root / "sub-9").symlink_to(root / "store")
    (root / "derivatives/again").symlink_to(root)
    (root / "store/ses-2").symlink_to(root)
    assert only(find(root)).visit == Visit(9, 2)


def test_a_folder_that_cannot_be_read_is_refused_without_its_label(touch: Touch, locked: Callable[[str], None]) -> None:
    root = touch("sub-OAS30001/anat/sub-OAS30001_T1w.nii.gz")
    locked("sub-OAS30001/anat")
    with pytest.raises(SourceError, match="cannot be read") as caught:
        find(root)
    assert "OAS30001" not in str(caught.value)


def test_a_source_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere is not a folder.*sub-<label>"):
        find(tmp_path / "nowhere")


def test_no_repr_tells_a_label_or_a_path(touch: Touch) -> None:
    root = touch("sub-OAS30001/anat/sub-OAS30001_desc-preproc_T1w.nii.gz")
    found = find(root)
    assert "OAS30001" not in repr(found.scans)
    assert str(root) not in repr(found.scans)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("sub-1/ses-2/t1_linear/sub-1_ses-2_T1w.nii.gz", "expected in a folder anat or dwi"),
        ("sub-1/structural/sub-1_T1w.nii.gz", "expected in a folder anat or dwi"),
        ("derivatives/sub-1/anat/sub-1_T1w.nii.gz", "expected in a folder derivatives/<pipeline>"),
    ],
)
def test_images_in_folders_that_bids_does_not_know_are_counted(touch: Touch, name: str, fault: str) -> None:
    (misnamed,) = find(touch("sub-9/anat/sub-9_T1w.nii.gz", name)).misnamed
    assert (misnamed.modality, misnamed.number) == ("t1", 1) and misnamed.fault.startswith(fault)


def test_images_of_other_datatypes_are_no_misplaced_ones(touch: Touch) -> None:
    assert find(touch("sub-9/anat/sub-9_T1w.nii.gz", "sub-9/pet/sub-9_T1w.nii.gz")).misnamed == ()
