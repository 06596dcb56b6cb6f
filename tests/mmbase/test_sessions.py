import pytest

from mmbase.sessions import instance_of


@pytest.mark.parametrize(
    ("session", "instance"),
    [
        (None, 2),
        ("2", 2),
        ("03", 3),
        ("0", 0),
        ("M12", 12),
        ("V2", 2),
        ("2YearFollowUp", 2),
        ("baseline", 0),
        ("Baseline", 0),
        ("BL", 0),
        ("999", 999),
    ],
)
def test_a_session_is_the_visit_its_label_numbers(session: str | None, instance: int) -> None:
    assert instance_of(session) == instance


@pytest.mark.parametrize("session", ["followup", "2x3", "20190304", str(2**31), "9" * 250])
def test_a_label_without_one_usable_number_gets_a_visit_that_fits_32_bits(session: str) -> None:
    assert 1000 <= instance_of(session) <= 2**31 - 1


def test_hashed_visits_are_the_same_for_ever() -> None:
    digest = 0x3A2F1ECE11233B1F  # printf followup | b2sum -l 64
    assert instance_of("followup") == 1000 + digest % (2**31 - 1000) == 559007535
