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
    "never_clicked": (
        "items that stand in no history, those of {note}, predict the label, AUC",
        "negatives were drawn from items that nobody clicked: use no popularity of items, and trust"
        " no AUC by itself",
    ),
    "tag_order": (
        "the order of an item's tags predicts the label beyond the item's own click rate, AUC",
        "the item table was made with the labels: sort the tags",
    ),
    "content_sign": (
        "the signs of an item's content predict the label beyond the item's own click rate, AUC",
        "the item table may have been made with the labels, or some contents are clicked more:"
        " rebuild content from text and images",
    ),
    "content_rate": (
        "an item's content predicts the label beyond its signs and the item's own click rate, AUC",
        "the item table may hold click rates, those of valid and test among them, or some contents"
        " are clicked more: rebuild content from text and images",
    ),
    "history_length": (
        "a longer history than that of the same user's other rows predicts the label, AUC",
        "check whether histories of clicks are cut at another point than those of non-clicks",
    ),
    "user_id": (
        "the user id predicts the label, AUC",
        "ids follow labels: leave <model>.user_id off, and use no user id as a feature",
    ),
    "user_modulo": (
        "{column} predicts the label, AUC",
        "ids follow labels: leave <model>.user_id off, and use no user id as a feature",
    ),
    "user_rows": (
        "the number of rows that a user has predicts the label, AUC",
        "rows were kept by their label, or active users click otherwise: use no number of rows as a"
        " feature",
    ),
    "target_in_history": (
        "a target item that is in its own history predicts the label, AUC",
        "cut histories strictly before the row's own event",
    ),
    "target_in_other_history": (
        "a target item that is in another history of the same user, and not in its own, predicts"
        " the label, AUC",
        "the other row is a later one: read no other rows' histories, and trust no CV of what does",
    ),
    "near_duplicate": (
        "a target item whose content another item of its own history has predicts the label, AUC",
        "look for one item under two ids; cut histories strictly before the row's own event",
    ),
    "row_history": (
        "what differs between the histories of one user's rows predicts the label, AUC",
        "histories were changed with the label: give a user's rows one history, or cut each before"
        " its own event",
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
    "user_copy": (
        "share of {where}",
        "users may be in both splits under two ids: labels of one are known to the other, and folds"
        " by user do not hold them together",
    ),
    "level_mismatch": (
        "share of rows whose {column} differs from their item's",
        "the row's level may be of the row's own time: do not put the item's level in its place",
    ),
}
