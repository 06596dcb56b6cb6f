from datetime import date

from mmdata.synth.plan import plan_release
from mmdata.synth.table import draw_rows


def test_year_of_birth_age_and_date_of_every_visit_agree() -> None:
    num_visits = 0
    for row in draw_rows(1337, plan_release(1337, 400)):
        for instance in range(4):
            if visited_on := row.cells.get(f"53-{instance}.0"):
                years = date.fromisoformat(visited_on).year - int(row.cells["34-0.0"])
                assert years - int(row.cells[f"21003-{instance}.0"]) in (0, 1)
                num_visits += 1
    assert num_visits > 800
