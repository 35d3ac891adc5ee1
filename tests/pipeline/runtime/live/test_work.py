"""Live lines: what they show, and the time that is left."""

import pytest

from pipeline.runtime.live.work import Work


def work(*events: tuple[float, dict]) -> Work:
    """The state after events at their times."""
    state = Work("", 0.0)
    for at, event in events:
        state.apply(event, at)
    return state


def task(name: str, share: float, pid: int = 1, at_most: bool = True) -> dict:
    return {"task": name, "pid": pid, "fields": [f"  {name}", "45%"], "share": share,
            "at_most": at_most}  # fmt: skip


def total(done: int, of: int, at_once: int = 1, note: str = "") -> dict:
    return {"total": "fits", "done": done, "of": of, "at_once": at_once, "note": note}


def test_the_total_names_stage_count_and_time():
    state = Work("50_train", 10, "stage 5 of 11")
    state.apply(total(0, 3), 11)
    assert state.total_line(75, 79) == "| stage 5 of 11 50_train  0 of 3 fits, 01:05 elapsed"
    assert state.total_line(75, 40) == "| 50_train  0 of 3 fits, 01:05 elapsed"


def test_the_screen_changes_four_times_a_second():
    lines = [work().total_line(quarter / 4, 79) for quarter in range(40)]
    assert len(set(lines)) == 40
    assert lines[:4] == [f"{turn} 00:00 elapsed" for turn in "|/-\\"]


def test_before_a_fit_has_ended_the_time_left_is_a_bound():
    state = work((0, total(0, 4, at_once=2)), (0, task("a", 0.5)), (0, task("b", 0.5)))
    assert state.seconds_left(10) == (2 * 20 + 10 + 10) / 2
    assert "at most 00:30 left" in state.total_line(10, 79)
    assert state.seconds_left(9) is None  # the first steps are slow


def test_then_fits_take_as_long_as_those_that_ended():
    end_of_a = {"task": "a", "fields": []}
    state = work((0, total(0, 4, at_once=2)), (0, task("a", 0.2)), (0, task("b", 0.2)),
                 (8, end_of_a), (8, total(1, 4, at_once=2, note="best 0.6")),
                 (8, task("c", 0.1)))  # fmt: skip
    assert state.seconds_left(10) == (8 + 0 + 6) / 2
    assert state.total_line(10, 79).endswith("10 elapsed, about 00:07 left, best 0.6")


def test_a_plain_loop_goes_on_at_its_pace():
    state = work((0, total(0, 5)), (4, total(2, 5)))
    assert state.seconds_left(5) == 5
    assert work((0, total(0, 5))).seconds_left(5) is None
    assert "left" not in work((0, total(0, 5)), (9, total(5, 5))).total_line(9, 79)


def test_the_lines_of_a_killed_process_go_and_count_for_nothing():
    events = [(0, task("a", 0.5, pid=1)), (0, task("b", 0.5, pid=2))]
    assert list(work(*events, (1, {"gone": 1})).tasks) == ["b"]
    assert work(*events, (1, {"gone": 0})).tasks == {}
    assert work(*events, (1, {"gone": 0})).durations == []


def test_more_lines_than_the_terminal_has_are_counted():
    state = work(*((0, task(str(i), 0.5)) for i in range(9)))
    assert len(state.lines(1, 79, 5)) == 5
    assert state.lines(1, 79, 5)[3] == "  and 6 more"


@pytest.mark.parametrize(("width", "line"), [(79, "  a  45%"), (7, "  a 45%"), (6, "  a")])
def test_fields_come_together_or_are_left_out_where_the_terminal_is_narrow(width, line):
    assert work((0, task("a", 0.5))).lines(1, width, 23)[0] == line
