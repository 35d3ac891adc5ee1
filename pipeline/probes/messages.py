"""What each probe of 15_probe looks for, and what to do about a finding, in words."""

MESSAGES = {  # probe -> what the figure says, and what to do
    "item_id": (
        "the item id predicts the label beyond popularity and levels, AUC",
        "clicks and non-clicks seem to come from different items: compare models with each other,"
        " and trust no AUC by itself",
    ),
    "level": (
        "{column} predicts the label beyond popularity, AUC",
        "it may count these very clicks, or clicks and non-clicks come from different items",
    ),
    "history_length": (
        "the length of the history predicts the label beyond what matches it, AUC",
        "check whether histories of clicks are cut at another point than those of non-clicks",
    ),
    "user_id": (
        "the user id predicts the label, AUC",
        "ids follow labels: leave <model>.user_id off, and use no user id as a feature",
    ),
    "target_in_history": (
        "a target item that is in its own history predicts the label, AUC",
        "cut histories strictly before the row's own event",
    ),
    "row_order": (
        "the position in the file predicts the label, AUC",
        "shuffle the rows, and use no row number as a feature",
    ),
    "slate": (
        "share of slates (rows of one user with one history) with exactly one click",
        "scores compared within a slate say more than rows alone; this is a property of how such a"
        " set was made and does not exist where rows are shown one by one",
    ),
    "shift": (
        "trees can tell {where} apart, AUC",
        "mostly by {top}: a score on one says less about the other",
    ),
    "user_overlap": (
        "share of {where}",
        "folds hold whole users, so CV evaluates on new users only: do not compare CV with this"
        " split",
    ),
    "level_mismatch": (
        "share of rows whose {column} differs from their item's",
        "the row's level may be of the row's own time: do not put the item's level in its place",
    ),
}
