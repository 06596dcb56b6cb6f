import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.sources.bids_names import parse_folder, parse_name

LABELS = st.text("abcXYZ0189+", min_size=1, max_size=8)


@given(
    entities=st.dictionaries(st.text("abcdef", min_size=1, max_size=6), LABELS, min_size=1),
    suffix=st.sampled_from(["T1w", "t1w", "FLAIR", "dwimap", "xfm"]),
    extension=st.sampled_from([".nii", ".nii.gz", ".NII.GZ", ".txt"]),
)
def test_the_parts_of_a_name_are_those_it_was_made_of(entities: dict[str, str], suffix: str, extension: str) -> None:
    name = parse_name("_".join([*(f"{key}-{label}" for key, label in entities.items()), suffix]) + extension)
    assert name is not None
    assert (name.entities, name.suffix, name.extension) == (entities, suffix.lower(), extension.lower())


def test_keys_mean_the_same_in_any_letter_case_and_labels_do_not() -> None:
    name = parse_name("SUB-Ab_Ses-M0_T1w.nii")
    assert name is not None and name.entities == {"sub": "Ab", "ses": "M0"}


@pytest.mark.parametrize(
    ("name", "suffix", "image_suffix"),
    [
        ("sub-1_mask", "mask", ""),
        ("sub-1_T1w_mask", "mask", "t1w"),
        ("sub-1_T1w_brainmask", "brainmask", "t1w"),
        ("sub-1_brain_mask", "brain_mask", ""),
        ("sub-1_FLAIR_Brain_Mask", "brain_mask", "flair"),
        ("sub-1_desc-brain_mask", "mask", ""),
    ],
)
def test_a_mask_may_repeat_its_images_suffix(name: str, suffix: str, image_suffix: str) -> None:
    parsed = parse_name(f"{name}.nii.gz")
    assert parsed is not None and (parsed.suffix, parsed.image_suffix) == (suffix, image_suffix)


@pytest.mark.parametrize(
    "name",
    [
        "T1w.nii.gz",
        "sub-01_T1w",
        "sub-01.nii.gz",
        "sub-_T1w.nii.gz",
        "sub-01-02_T1w.nii.gz",
        "sub_01_T1w.nii.gz",
        "sub-01__T1w.nii.gz",
        "._sub-01_T1w.nii.gz",
        "sub-01_T1w.nii.gz.part~",
        "sub-01_ses-M00_T1w_space-MNI_T1w.nii.gz",
        "sub-ADNI002_S_0295_T1w.nii.gz",
        "sub-01_T1w (1).nii.gz",
        "sub-ä_T1w.nii.gz",
    ],
)
def test_other_names_have_no_parts(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("name", "key", "label"),
    [
        ("sub-01", "sub", "01"),
        ("ses-M12", "ses", "M12"),
        ("SUB-01", "sub", "01"),
        ("Ses-m12", "ses", "m12"),
        ("sub-a+b", "sub", "a+b"),
        ("ses-1", "sub", None),
        ("sub-01.html", "sub", None),
        ("sub-", "sub", None),
        ("sub-01_bad", "sub", None),
    ],
)
def test_a_folder_has_the_label_behind_its_key(name: str, key: str, label: str | None) -> None:
    assert parse_folder(name, key) == label
