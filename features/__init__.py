"""Tabular features of (history, target) rows, one idea a file; and where rows come from.

Two kinds of feature module, listed by hand and in order in features/table.py:

    OF_ROWS  describe(store, split) -> table, one row for each row of the split, nothing fitted
    FITTED   fit(store, rows) -> fitted, describe(store, split, fitted) -> table: fitted on train
             rows outside the fold of the rows that are described

15_probe's alone: history_popularity, level_mismatch, row_order, target_in_history, user_number.

Column prefixes: i_ item, u_ user, ui_ user and item, h_ history, r_ the row itself.
"""
