import pytest

from mmdata.salt import find_weakness
from mmdata.study import StudyConfig


@pytest.mark.parametrize(
    ("salt", "weakness"),
    [
        ("aaaaaaaaaaaaaaaa", "repeats itself"),
        ("abcabcabcabcabcabc", "repeats itself"),
        ("changemechangeme", "repeats itself"),
        ("0000000000000001", "different characters"),
        ("1234567890123456", "follow each other"),
        ("0123456789abcdef", "follow each other"),
        ("zyxwvutsrqponmlkj", "follow each other"),
        ("QwertyuiopAsdfgh", "follow each other"),
        ("password12345678", "words that stand for a secret"),
        ("CHANGE_ME_CHANGE_ME!", "words that stand for a secret"),
        ("your-secret-salt-here", "words that stand for a secret"),
        ("my.super.secret.key.1", "words that stand for a secret"),
    ],
)
def test_what_anybody_would_try_first_is_weak(salt: str, weakness: str) -> None:
    assert weakness in find_weakness(salt)


@pytest.mark.parametrize("salt", ["a-demo-needs-no-secret", "correct horse battery staple", "Øresund-42-fløjte-x"])
def test_other_texts_are_not(salt: str) -> None:
    assert find_weakness(salt) == ""


def test_no_salt_that_mm_draws_is() -> None:
    assert {find_weakness(StudyConfig().salt) for _ in range(1000)} == {""}
