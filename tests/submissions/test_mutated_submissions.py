"""The checker on mutated submissions: it accepts what a plain checker accepts."""

from collections import Counter

import numpy as np
from hypothesis import given

from features.errors import InputError
from submissions.check import check
from tests.helpers.mutations import submissions, trials


@trials.QUICK_AND_LONG
def test_mutated_submissions(tmp_path, capsys, size):
    ids = [3, -(2**63), 2**63 - 1, 0, 10]
    tally = Counter()

    @trials.examples(600 if size == "quick" else 20_000)
    @given(submissions.submissions(ids))
    def run(submission):
        name, data = submission
        path = tmp_path / name
        path.write_bytes(data)
        problem, refused = submissions.submission_problem(name, data, ids), True
        with trials.one_input(tally):
            report = check(path, np.array(ids))
            refused = bool(report.errors)
            tally["wrong"] += not refused and problem is not None
            assert all(line.isprintable() for line in report.errors)
            if refused:
                raise InputError("\n".join(report.errors))
        assert refused == (problem is not None), problem or report.errors

    with trials.limited_memory():
        run()
    with capsys.disabled():
        print(trials.summary("submissions", tally))
