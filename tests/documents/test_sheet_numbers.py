"""Numbers of spreadsheets are written as a reader sees them, whatever their format says."""

import time

import pytest

from gemvec.documents.sheet_numbers import write_number

ACCOUNTING = '_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)'


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (0.25, "0%", "25%"),
        (0.12345, "0.00%", "12.35%"),
        (0.5, "0.0#%", "50.0%"),
        (1234.5, "#,##0.00", "1,234.50"),
        (1234567, "#,##0", "1,234,567"),
        (12, "#,##0", "12"),
        (1234.5, '"$"#,##0.00', "$1,234.50"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (-3, "#,##0 [$EUR]", "-3 EUR"),
        (1234.5, ACCOUNTING, "$1,234.50"),
        (-1234.5, ACCOUNTING, "$(1,234.50)"),
        (0, ACCOUNTING, "$-"),
        (-7, "0;[Red](0)", "(7)"),
        (0, '0;-0;"none"', "none"),
        (0, "0;-0;;@", ""),
        (5, ";;;", "5"),
        (1234, "00000", "01234"),
        (5551234, "000-0000", "555-1234"),
        (15551234567, "0 (000) 000-0000", "1 (555) 123-4567"),
        (2_500_000, '0.0,,"M"', "2.5M"),
        (75, '0.0 "kg"', "75.0 kg"),
        (0.5, "#.##", ".5"),
        (2.0, "0.###", "2"),
        (2.675, "0.00", "2.68"),
        (12.0, "General", "12"),
        (0.1, "General", "0.1"),
        (0.5, "# ?/?", "0.5"),
        (12345.0, "0.00E+00", "12345"),
        (7.5, "[>5]0;[<3]0.0;0", "7.5"),
        (-5, "[>100]0;0.0", "-5"),
        (10**400, "0.0", str(10**400)),
        (7.0, "@", "7"),
        (1e300, "0.00", str(int(1e300))),
        (float("nan"), "#,##0", "nan"),
        (3, '"open', "open"),
        (3, "", "3"),
    ],
)
def test_a_number_is_written_in_its_format_or_as_it_is(value, code, shown):
    assert write_number(value, code) == shown


@pytest.mark.parametrize("code", ['"' * 100_000, "[" * 100_000, "0." + "0" * 100_000, "#," * 50_000, ";" * 100_000])
def test_a_very_long_format_takes_no_time(code):
    start = time.process_time()
    assert write_number(2.5, code) == "2.5"
    assert time.process_time() - start < 1
