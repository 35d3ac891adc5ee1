"""Numbers behind figures, as CSV in the page."""

import csv
import io
import math
from urllib.parse import unquote

from pipeline.reporting.blocks import Numbers
from tests.helpers.report import HOSTILE


def test_numbers_come_back_from_the_address_that_is_saved():
    rows = [["a, b", 0.123456789, None], [HOSTILE, math.nan, 3], ["\u00e4 %\n#", 1e-9, 12345678]]
    numbers = Numbers("x", ["name", "value", 'the "n"'], rows)
    head, _, text = numbers.href.partition(",")
    assert head == "data:text/csv;charset=utf-8"
    assert not set("\"'<># \n") & set(text)  # ends neither the attribute nor the address
    assert list(csv.reader(io.StringIO(unquote(text)))) == [
        ["name", "value", 'the "n"'],
        ["a, b", "0.123457", ""],
        [HOSTILE, "", "3"],
        ["\u00e4 %\n#", "1e-09", "12345678"],
    ]
