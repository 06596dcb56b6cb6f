"""What a reason for which a scan was rejected means in plain words, and what can be done about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reason, explained."""

    meaning: str
    remedy: str


_FETCH_AGAIN = "Fetch the file again, then run the ingest again."
_LOOK_AT_FILE = "Look at the file with its source; a repaired file is taken at the next ingest."
_ASK_SOURCE = "Nothing to do unless the source has a better file."
_RUN_AGAIN = "Run the ingest again."

EXPLANATIONS = {
    "bad-affine": Explanation(
        "The image does not say where it lies in space, or what it says is impossible.", _LOOK_AT_FILE
    ),
    "bad-archive": Explanation("The zip archive is damaged.", _FETCH_AGAIN),
    "bad-datatype": Explanation("The voxels are not plain numbers, such as colours or complex values.", _LOOK_AT_FILE),
    "bad-dimensions": Explanation("The file has another shape or size than such a scan can have.", _LOOK_AT_FILE),
    "bad-mask": Explanation("The brain mask does not fit the image.", _LOOK_AT_FILE),
    "bad-table": Explanation("The connectivity file is not the table of numbers it should be.", _LOOK_AT_FILE),
    "bad-transform": Explanation("The transform to template space cannot be read or inverted.", _LOOK_AT_FILE),
    "corrupt": Explanation("The compressed data do not decode: bytes of the file have changed.", _FETCH_AGAIN),
    "crashed-worker": Explanation(
        "The worker process died on this scan, again and again.",
        "Run the ingest again with fewer workers; if it stays, look at the file with its source.",
    ),
    "damaged": Explanation(
        "The scan was stored, but its bytes in the study are damaged.", "Make it again with mm repair."
    ),
    "duplicate": Explanation(
        "The same voxels as another sample's: a mix-up of files, or one file under two names.",
        "Ask the source whose image it is.",
    ),
    "empty": Explanation("Every voxel is zero, or no region has a signal.", _ASK_SOURCE),
    "extractor-failed": Explanation(
        "The brain extractor failed or took too long on this scan.",
        "Check ingest.brain_extractor and ingest.extractor_timeout_s in study.toml, then run the ingest again.",
    ),
    "identity-affine": Explanation(
        "The image's affine is the identity, as the reference study's code wrote it: it says nothing of where it lies.",
        "Where the images are the reference study's own, ingest with --assume reference-grid.",
    ),
    "implausible-brain": Explanation(
        "What remains after brain extraction is too small or too large to be a brain.", _LOOK_AT_FILE
    ),
    "missing-image": Explanation("The source holds no image of this kind under its usual name.", _ASK_SOURCE),
    "missing-transform": Explanation(
        "The source has no transform to template space for this scan.",
        "Supply the transform, or ingest with --register affine.",
    ),
    "negative-intensities": Explanation(
        "Most intensities are zero or below, where a brain has positive ones.", _LOOK_AT_FILE
    ),
    "no-contrast": Explanation("The intensities hardly differ inside the brain.", _ASK_SOURCE),
    "non-finite": Explanation("The values hold NaN or infinity.", _LOOK_AT_FILE),
    "not-gzip": Explanation("The file is not compressed as its name says, or its start is damaged.", _FETCH_AGAIN),
    "not-in-template-space": Explanation(
        "The image was not warped to MNI152, which volumes.space asks for.",
        "Supply the warped image, or start a study in linear space.",
    ),
    "not-nifti": Explanation("The file is not a NIfTI image, or its header is damaged.", _LOOK_AT_FILE),
    "not-skull-stripped": Explanation(
        "The image is of the whole head; a study stores brains only.",
        "Supply a brain mask, or ingest with --brain-extractor.",
    ),
    "outside-grid": Explanation(
        "The transform puts the brain outside the study's grid.", "Check the transform and the grid of study.toml."
    ),
    "outside-template": Explanation(
        "The brain hardly overlaps the template's after its transform.",
        "Check the transform and whether the image holds a whole brain, or ingest with --register affine.",
    ),
    "registration-failed": Explanation(
        "The scan could not be registered to the template.", "Supply a transform for this scan."
    ),
    "truncated": Explanation("The file ends too early.", _FETCH_AGAIN),
    "unexpected": Explanation("The scan failed for a reason that mm does not know.", _RUN_AGAIN),
    "unreadable": Explanation(
        "The machine could not read the file.", "Check the file's permissions and its disk, then run the ingest again."
    ),
    "unsafe-archive": Explanation("The archive holds paths that lead out of it; it is not opened.", _LOOK_AT_FILE),
    "unusable": Explanation("The source itself marks the scan as unusable or incompatible.", _ASK_SOURCE),
}
"""Reason code to what it means and what can be done."""
_UNKNOWN = Explanation("This version has no explanation of this reason; see the details.", _LOOK_AT_FILE)


def explain_reason(reason: str) -> Explanation:
    """Return what a reason code means; a general answer for a code that is not known."""
    return EXPLANATIONS.get(reason, _UNKNOWN)
