"""Tombstones: the receipts of those who have withdrawn and must never come back.

Terms
-----
tombstone   receipt of one participant, by key, with the rows that they gave up; the newest counts, and all rows.
removal     what was removed of all participants who withdrew together. It counts them, so a tombstone that is gone is
            missed.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from mmdata.errors import StoreError
from mmdata.ledger.receipt_kinds import RemovalReceipt, WithdrawalReceipt
from mmdata.ledger.receipts import PUT_BACK, REMOVAL_RECEIPTS, WITHDRAWAL_RECEIPTS, append_receipts, read_receipts


def read_withdrawal_receipts(directory: Path) -> frozenset[str]:
    """Return the keys of everyone who has withdrawn."""
    receipts = read_receipts(directory / WITHDRAWAL_RECEIPTS, WithdrawalReceipt)
    return frozenset(receipt.participant_key for receipt in receipts)


def record_withdrawals(directory: Path, keys: frozenset[str]) -> None:
    """Add a receipt for everyone who has none yet."""
    new = sorted(keys - read_withdrawal_receipts(directory))
    if new:
        append_receipts(directory / WITHDRAWAL_RECEIPTS, [WithdrawalReceipt(participant_key=key) for key in new])


def read_tombstones(directory: Path) -> dict[str, WithdrawalReceipt]:
    """Return the newest receipt of everyone who has withdrawn, by key, with all rows that they ever gave up."""
    tombstones: dict[str, WithdrawalReceipt] = {}
    for receipt in read_receipts(directory / WITHDRAWAL_RECEIPTS, WithdrawalReceipt):
        key = receipt.participant_key
        before = tombstones[key].rows if key in tombstones else []
        tombstones[key] = replace(receipt, rows=sorted({*before, *receipt.rows}))
    return tombstones


def read_retired_rows(directory: Path) -> frozenset[int]:
    """Return the rows of everyone who has withdrawn, which nobody may get again."""
    return frozenset(row for tombstone in read_tombstones(directory).values() for row in tombstone.rows)


def read_removals(directory: Path) -> dict[int, RemovalReceipt]:
    """Return the newest receipt of each removal, by its number."""
    return {receipt.removal: receipt for receipt in read_receipts(directory / REMOVAL_RECEIPTS, RemovalReceipt)}


def num_lost_tombstones(directory: Path) -> int:
    """Return how many participants' tombstones are gone: the receipts of removals count those they were part of."""
    keys_of: dict[int, set[str]] = defaultdict(set)
    for receipt in read_receipts(directory / WITHDRAWAL_RECEIPTS, WithdrawalReceipt):
        keys_of[receipt.removal].add(receipt.participant_key)
    removals = read_removals(directory)
    return sum(max(0, removal.participants - len(keys_of[number])) for number, removal in removals.items())


def require_tombstones(directory: Path) -> None:
    """Refuse to tell who has withdrawn where tombstones are gone.

    Raises
    ------
    StoreError
        Some are gone, or a receipt is damaged.
    """
    if number := num_lost_tombstones(directory):
        problem, remedy = explain_lost_tombstones(number)
        raise StoreError(f"receipts/{WITHDRAWAL_RECEIPTS} {problem}.", remedy)


def explain_lost_tombstones(number: int) -> tuple[str, str]:
    """Return what is wrong with the file of tombstones, to follow its name in a sentence, and what to do about it."""
    return (
        f"lacks {number} of the participants who have withdrawn, as {REMOVAL_RECEIPTS} counts them",
        f"{PUT_BACK} Without one, move receipts/{REMOVAL_RECEIPTS} away and run mm withdraw with every list that there "
        "ever was, before anything else.",
    )
