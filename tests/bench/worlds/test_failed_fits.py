"""python -m bench.worlds.failed_fits: which fits a warm-up can change, and the table."""

from bench.worlds import failed_fits

TINY = (
    "models=din", "data.users=300", "data.valid_users=60", "data.test_users=60", "data.items=200",
    "network.embedding_dim=4", "network.fit.max_epochs=2", "din.columns=true", "din.fit.prefixes=1",
)  # fmt: skip


def report(scores, auc=0.8):
    epochs = [{"score": score} for score in scores]
    best = 1 + scores.index(max(scores))
    noise = {"chance_error": 0.01, "stop_error": 0.024, "steps": 15}
    return {"auc": auc, "best_epoch": best, "epochs": epochs} | noise


def test_a_warm_up_changes_a_fit_only_where_it_leaves_an_epoch_out():
    assert failed_fits.waits(report([0.55, 0.58, 0.54]))
    assert not failed_fits.waits(report([0.55, 0.58, 0.68, 0.6]))  # it is over after 0.68
    assert not failed_fits.waits(report([0.55] * 2) | {"steps": 250})  # and after 500 steps


def test_the_table_counts_failed_fits_without_and_with_the_warm_up():
    settings = {"settings": {"network": {"fit": {"max_epochs": 100}}}}
    learned, failed = ({**settings, "report": report([0.7, 0.6], auc)} for auc in (0.8, 0.55))
    without = {("qin", 0, fold): fit for fold, fit in enumerate((learned, learned, failed))}
    with_it = without | {("qin", 0, 2): learned}
    *_, before, after, last = failed_fits.markdown([(without, with_it)])
    assert before == "| qin, without | 3 | 1 | 1 | 0.5500 | 0.7167 | 2.0, at most 2 |"
    assert after == "| qin, with | 3 | 0 | 0 | 0.8000 | 0.8000 | 2.0, at most 2 |"
    assert last == "1 fits were trained again with the warm-up."


def test_a_tiny_world_is_trained(tmp_path, capsys):
    assert failed_fits.main([*TINY, "--seeds", "1", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "din seed 0 fold 2 AUC without a warm-up 0." in output
    assert "| din, with | 3 |" in output
