"""What the columns of the report's tables mean: shown on their heads, and together at the end."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.reporting.blocks import Block, Details, Figure, Grid, Section, Table, Terms, Titled

AUC = "the chance that a clicked row scores higher than one that was not clicked"
GLOSSARY: Mapping[str, str] = {
    "AUC": f"Area under the ROC curve: {AUC}. 0.5 is guessing.",
    "AUC within users": "GAUC: the AUC of each user's own rows, averaged with their numbers of"
    " rows as weights.",
    "click first": "Share of the slates in which no row scores higher than a clicked one.",
    "clicks per slate": "How many rows of a slate were clicked, and the share of slates with that"
    " many.",
    "column": "The column of the data, or of 30_features, that is meant.",
    "CV last": "CV on the last event of each user alone, as the test has it.",
    "CV ± sd": "Cross-validation: AUC on folds of whole users that the fit did not train on; mean"
    " and standard deviation over folds. Of a blend: nested, by weights fitted on other folds.",
    "device": "What the fits ran on, and in which precision.",
    "difference": "This run less the other one.",
    "epochs": "Passes over the training rows, until the early stop.",
    "expected at most": "A value above it would be a finding.",
    "fits": "Trainings of the network: one for each fold and seed.",
    "gain of own history": "AUC less AUC with others' histories, with a 95% interval.",
    "gain over the best single network": "AUC of the blend less that of the network of the best"
    " CV, on the same rows, with a 95% interval.",
    "hidden test": "AUC on the test rows, whose labels only this report reads.",
    "ignores padding": "Whether logits stay when the padding of a history changes.",
    "importance": "Share of the variance of the trials' scores that the setting explains.",
    "log loss in slates": "Mean of -ln(softmax over the slate) of the clicked row, in nats.",
    "mean fold AUC": "What the study maximises: the AUC of each fold, averaged.",
    "official valid": "AUC on the challenge's validation rows, which no fit trains on.",
    "on": "The rows that were looked at.",
    "other run": "The same score of the earlier run that is compared with.",
    "peak memory": "The most that one process of the stage or the network has used.",
    "public": "AUC on the public leaderboard, as it was noted with --public.",
    "reads the history": "Whether logits change when items of a history change.",
    "rows of prefixes": "Share of the rows of training that earlier items of histories make.",
    "rows per slate": "How many rows a slate has, and the share of slates with that many.",
    "sd": "Standard deviation over folds.",
    "setting": "Its name in the TOML files and on the command line.",
    "setting that differs": "Its name on the command line.",
    "share of gain": "Share of what the trees' splits on this column gain in total.",
    "slates": "Sets of rows with equal user and history: what one user chose from.",
    "stage": "A step of the pipeline, named as in `python -m pipeline.STAGE`.",
    "this run": "The score of the run that this page describes.",
    "time per fit": "Mean time of one training, scoring included.",
    "training": "Rows that went through the network in a second, forward and backward.",
    "trial": "Number of the trial in its study, and where its settings come from, if not searched.",
    "value": "What was measured: an AUC, or a share of rows.",
    "wall time": "Time on the clock in which some process of the stage worked.",
    "with others' columns": "AUC when each row is given the columns of 30_features of another row.",
    "with others' histories": "AUC when each user is given the history of another one.",
    "work": "Time that the stage's results took, added up over those made side by side.",
    "95% interval": "The true value lies in it in 95 of 100 repetitions.",
}


def section(sections: Sequence[Section]) -> Section:
    """The columns of the tables in `sections`, which are explained, by name."""
    tables = (table for section in sections for table in tables_in(section.blocks))
    used = {column for table in tables for column in table.columns} & GLOSSARY.keys()
    terms = [(name, GLOSSARY[name]) for name in sorted(used, key=str.lower)]
    return Section(
        anchor="glossary",
        title="Glossary",
        look_for="a word at the head of a column.",
        finding="What the columns of the tables hold; a column's head says it too, on a pointer.",
        blocks=[Terms(terms)],
    )


def tables_in(blocks: Iterable[Block]) -> Iterator[Table]:
    """All tables, however deep."""
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Grid | Titled):
            yield from tables_in(block.blocks)
        elif isinstance(block, Figure | Details):
            yield from tables_in([block.content])
