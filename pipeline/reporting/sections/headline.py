"""What shipped and what it is worth, before anything else."""

from pipeline.reporting.leaderboard import shipped
from pipeline.reporting.page import Html, join, markup
from pipeline.reporting.run import Run
from pipeline.reporting.tuned import of_tuned
from pipeline.reporting.wording import auc, listed, name


def headline(run: Run) -> Html:
    best = shipped(run.judged)
    tiles = join(_tile(*tile) for tile in _tiles(run, best))
    s = run.settings
    meta = (
        f"{len(run.fits)} fits of {listed(run.models)}; rules={s.rules};"
        f" commit {run.manifest['commit']}; submission {run.submission}"
    )
    return join([
        Html(f"<h1>{markup(title(run))}</h1>"),
        Html(f"<p>{markup(said(run, best))}</p>"),
        Html(f'<dl class="tiles">{tiles}</dl>'),
        Html(f'<p class="meta">{markup(meta)}</p>'),
    ])  # fmt: skip


def title(run: Run) -> str:
    return f"{run.settings.profile}: {shipped_words(run)} ships"


def shipped_words(run: Run) -> str:
    """hill climbing of din and qin; the best single network by its own name."""
    way, models, external = run.blend["chosen"], used(run), run.blend.get("external")
    words = f"{name(way)} of {listed(models)}" if models else name(way)
    words = models[0] if way == "best_single" and models else words
    return f"{words} with {external['file']}" if external else words


def used(run: Run) -> list[str]:
    """The networks in what ships, heaviest first where it weighs them."""
    shipped_way = run.blend["blenders"][run.blend["chosen"]]
    weights = shipped_way.get("weights")
    if not weights:
        return shipped_way.get("models", [])
    models = [model for model in run.models if weights.get(model)]
    return sorted(models, key=lambda model: -abs(weights[model]))


def said(run: Run, best: dict) -> str:
    """Chosen by what, and how far it comes."""
    text = f"Chosen by {run.judged['chosen_by']}."
    single = next((row for row in run.judged["rows"] if row["name"] == "best_single"), None)
    if single is not None and single is not best and best["cv"] is not None:
        text += f" It gained {best['cv'] - single['cv']:+.4f} CV on the best single network."
    bayes = run.judged["bayes"]
    if bayes is not None and best["hidden"] is not None:
        share = (best["hidden"] - 0.5) / (bayes - 0.5)
        text += f" It comes {share:.1%} of the way from a coin's 0.5 to perfect knowledge."
    return f"{text} {of_tuned(run.judged)}" if run.judged["tuned"] else text


def _tiles(run: Run, best: dict) -> list[tuple[str, str, str]]:
    found = []
    if best["cv"] is not None:
        kind = "nested CV" if best["name"] in run.blend["blenders"] else "CV"
        found.append((kind, f"{best['cv']:.4f}", f"± {best['sd']:.4f}"))
    figures = (
        ("official valid", best["valid"], "chose it" if run.settings.official else ""),
        ("hidden test", best["hidden"], ""),
        ("public", run.public, ""),
        ("Bayes (best possible)", run.judged["bayes"], ""),
    )
    return found + [
        (what, auc(value, 4), note) for what, value, note in figures if value is not None
    ]


def _tile(what: str, value: str, note: str) -> Html:
    return Html(
        f"<div><dt>{markup(what)}</dt><dd>{markup(value)} <small>{markup(note)}</small></dd></div>"
    )
