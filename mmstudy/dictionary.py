"""What a study's features mean: UK Biobank's dictionary with the study's own definitions."""

from catalog.fields import Dictionary, load_dictionary
from mmdata.study import Study


def study_dictionary(study: Study) -> Dictionary:
    """Return the definitions of a study's features.

    Raises
    ------
    DictionaryError
        One of ``[features]`` in `study.toml` cannot be used.
    """
    return load_dictionary(study.config.features)
