from __future__ import annotations

from instar.report.pictures.table import table


def test_table_sets_numbers_to_the_right_and_says_nothing_for_none() -> None:
    rows = [["<b>", 12345, 0.1234567, None, True]]
    made = table({"columns": ["a", "b", "c", "d", "e"], "rows": rows})
    assert '<td class="n">12,345</td><td class="n">0.123</td><td>–</td><td>yes</td>' in made
    assert "&lt;b&gt;" in made
