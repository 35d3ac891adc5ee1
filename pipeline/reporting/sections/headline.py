"""What is submitted, how good it is, what was typed and where it goes, before anything else."""

import datetime
import shlex

from pipeline.config.redact import without_secrets
from pipeline.reporting import upload
from pipeline.reporting.blocks import Code, Headline, Tile
from pipeline.reporting.formatting import auc, enumeration, readable
from pipeline.reporting.run import Run
from pipeline.reporting.scores import (
    NEEDS_SLATES,
    cv_gain,
    forecast_sentence,
    submitted_row,
    tuning_bias,
    without_slates,
    without_slates_row,
)
from pipeline.reporting.sections import learning_curves, probes
from pipeline.reporting.selection import marks

STAGE = "80_report"


def headline(run: Run) -> Headline:
    s = run.settings
    return Headline(
        title=f"{s.profile}: {submission_title(run)}",
        summary=_summary(run),
        tiles=_tiles(run),
        made=_made(run),
        codes=_codes(run),
        meta=(
            f"{len(run.fits)} fits of {enumeration(run.models)}; rules={s.rules};"
            f" commit {run.manifest['commit']}"
        ),
        warnings=[*probes.warnings(run), *learning_curves.warnings(run)],
    )


def _made(run: Run) -> str:
    """sample/research-12345678, 26 November 2026, 12:57 UTC."""
    return f"{run.submission}, {run.made.astimezone(datetime.UTC):%-d %B %Y, %H:%M} UTC"


def typed(run: Run, *command: str) -> str:
    """The command line with the profile and the overrides of this run, without passwords."""
    return shlex.join([*command, *(without_secrets(word) for word in run.settings.arguments)])


def _codes(run: Run) -> list[Code]:
    """What was typed, the file, and for the competition's data where it goes and what follows."""
    repeat = Code("typed", typed(run, "./run_all.sh"))
    if not upload.counts(run.settings):
        return [repeat, Code("file", run.zip, "not for the competition: these are other data")]
    note = typed(run, "python", "-m", f"pipeline.{STAGE}")
    return [
        repeat,
        Code("upload", run.zip, f"to {upload.COMPETITION}", upload.COMPETITION),
        Code("then", f"{note} --public 0.", "notes the public score that Codabench shows"),
    ]


def submission_title(run: Run) -> str:
    """hill climbing of din and qin; the best single network by its own name."""
    blender, models, external = run.blend["chosen"], used_models(run), run.blend.get("external")
    text = f"{readable(blender)} of {enumeration(models)}" if models else readable(blender)
    text = models[0] if blender == "best_single" and models else text
    return f"{text} with {external['file']}" if external else text


def used_models(run: Run) -> list[str]:
    """The networks in the submission; where they have weights, the largest first."""
    blender = run.blend["blenders"][run.blend["chosen"]]
    weights = blender.get("weights")
    if not weights or not set(weights) & set(run.models):
        return blender.get("models", [])
    models = [model for model in run.models if weights.get(model)]
    return sorted(models, key=lambda model: -abs(weights[model]))


def _summary(run: Run) -> str:
    best, gain = submitted_row(run.scores), cv_gain(run.scores)
    bayes, known = run.scores["bayes"], "Bayes"
    if run.scores["bayes_slates"] is not None:
        bayes, known = run.scores["bayes_slates"], "Bayes with slates"
    text = f"The submission was chosen by {run.scores['chosen_by']}."
    if best["slates"]:
        text += f" {NEEDS_SLATES} Without slates: {without_slates(run.scores)}."
    if gain is not None:
        text += f" It gains {gain:+.4f} CV over the best single network."
    if bayes is not None and best["hidden"] is not None:
        share = (best["hidden"] - 0.5) / (bayes - 0.5)
        text += (
            f" On the hidden test it covers {share:.1%} of the way from 0.5 (guessing) to {known}."
        )
    more = (forecast_sentence(run.scores), tuning_bias(run.scores))
    return " ".join([text, *filter(None, more)])


def _tiles(run: Run) -> list[Tile]:
    best, tiles = submitted_row(run.scores), []
    mark = marks(run.scores["chosen_by"], bool(run.scores["tuned"]), best["cv"] is not None)
    if best["cv"] is not None:
        kind = "nested CV" if best["name"] in run.blend["blenders"] else "CV"
        note = f"± {best['sd']:.4f}{', chose the submission' * bool(mark['cv'])}"
        tiles.append(Tile(kind, f"{best['cv']:.4f}", note))
    figures = (
        ("official valid", best["valid"], "chose the network" * bool(mark["valid"])),
        ("hidden test", best["hidden"], ""),
        ("public leaderboard", run.public, ""),
        ("Bayes (best possible)", run.scores["bayes"], ""),
        ("Bayes with slates", run.scores["bayes_slates"], ""),
    )
    tiles += [Tile(name, auc(v, 4), note) for name, v, note in figures if v is not None]
    alone = without_slates_row(run.scores)
    if alone is None:
        return tiles
    beside = {"nested CV": "cv", "official valid": "valid", "hidden test": "hidden"}
    return [_beside(tile, alone.get(beside.get(tile.name))) for tile in tiles]


def _beside(tile: Tile, without_slates: float | None) -> Tile:
    """The tile with the score that is reached without slates, where there is one."""
    if without_slates is None:
        return tile
    note = f"{without_slates:.4f} without slates"
    return Tile(tile.name, tile.value, f"{tile.note}; {note}" if tile.note else note)
