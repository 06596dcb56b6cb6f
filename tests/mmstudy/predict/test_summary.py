"""What the end of the command tells: counts, and nothing of a single person."""

import json

import numpy as np
import torch
from torch import nn

from mmstudy.predict.deviations.names import deviation
from mmstudy.predict.predictor import Member, Predictor
from mmstudy.predict.samples import Outcome, Sample
from mmstudy.predict.summary import summarise, summary_lines
from mmtrain.intervals import Intervals
from mmtrain.models.trained import TrainedModel
from tests.mmstudy.predict.models import model


def predicted(age_years: float) -> Outcome:
    """Return somebody of an age that was allowed."""
    told = deviation("outside-age-range", "age", expected="45 to 80 years", got=f"{age_years:g}", remedy="Do not.")
    sample = Sample(name="person-0001", instance=2, participant="1234567")
    return Outcome(sample=sample, warnings=("without t1",), allowed=(told,), prediction_T=np.array([70.0]))


def test_what_was_allowed_is_counted_by_name_and_nobodys_value_is_told() -> None:
    found = model("brain-age", ("t1",))
    trained = TrainedModel(found.card, nn.Identity(), torch.device("cpu"), torch.float32)
    predictor = Predictor(members=(Member(found, trained, {}),), intervals=Intervals(), level=0.9, thresholds={})
    summary = summarise([predicted(91.5), predicted(93.25)], predictor, output="ages.csv")
    assert next(summary_lines(summary)) == "Samples predicted with brain-age: 2; refused: 0; failed: 0."
    told = summary.to_json()
    assert told["warnings"] == {"without t1": 2} and told["allowed_by_name"] == {"outside-age-range": 2}
    assert not any(value in json.dumps(told) for value in ("91.5", "93.25", "1234567"))
