"""Tabular features of (history, target) rows, one idea a file; and where rows come from.

Two kinds of feature module, listed by hand and in order:

    OF_ROWS  describe(store, split) -> table, one row for each row of the split, nothing fitted
    FITTED   fit(train) -> table, join(rows, table): fitted on training rows outside the row's fold

15_probe's alone: history_popularity, level_mismatch, row_order, target_in_history, user_number.

Column prefixes name the join key: u_ user, i_ item, ui_ both, h_ history, r_ the row itself.
"""
