"""What optuna-dashboard shows of a study besides its trials, and the page itself.

The study carries the name of its value, attributes that say how it was made, a note, and the best
settings as a file. Files lie in artifacts/<profile>/40_tune/studies.files/, also where the studies
lie in a database.
"""

import shlex
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.study import Study

from features.errors import InputError
from pipeline.artifacts import provenance
from pipeline.config.redact import without_passwords
from pipeline.config.settings import Settings
from pipeline.tuning.optuna_output import experimental_features
from pipeline.tuning.storage import journal_path, open_existing_storage
from pipeline.tuning.studies import Search

STAGE = "python -m pipeline.40_tune"
HERE = "127.0.0.1"  # not for other machines: the dashboard has no password and deletes studies
METRIC = "mean AUC"  # of a trial's folds


def command(settings: Settings) -> str:
    """What to type to see the studies."""
    typed = {override.partition("=")[0]: override for override in settings.overrides}
    where = [typed[key] for key in ("artifacts", "tune.storage") if key in typed]
    return f"{STAGE} {shlex.join([settings.profile_argument, *where])} --dashboard"


def describe(study: Study, search: Search) -> None:
    """Name the study's value, set its attributes, and write its note where it has none."""
    from optuna_dashboard import get_note, save_note  # slow

    if study.metric_names != [METRIC]:
        with experimental_features():
            study.set_metric_names([METRIC])
    for name, value in attributes(search).items():
        if study.user_attrs.get(name) != value:
            study.set_user_attr(name, value)
    if not get_note(study):  # later ones may be the user's own
        save_note(study, note(search))


def attributes(search: Search) -> dict[str, Any]:
    """The facts of a study, by name."""
    s = search.settings
    return {
        "command": without_passwords(f"{STAGE} {shlex.join(s.arguments)}"),
        "profile": s.profile,
        "network": search.model,
        "rules": s.rules,
        "folds": "official valid" if s.official else len(search.folds),
        "users": s.tune.users,
        "pruner": s.tune.pruner,
        "commit": provenance.commit(),
    }


def note(search: Search) -> str:
    """Of the study, as Markdown."""
    facts = attributes(search)
    folds = facts["folds"] if search.settings.official else f"{facts['folds']} folds of users"
    return (
        f"**{search.model}** on profile {facts['profile']}, rules {facts['rules']}.\n\n"
        f"The value of a trial is its {METRIC} over {folds}, with {facts['users']:.0%} of the train"
        " users. The first trials are the published settings and those of the run.\n\n"
        f"To add trials:\n\n    {facts['command']}\n\n"
        "Finished, the best settings are among the files (Artifacts) of this study; 50_train takes"
        " them with train.settings=tuned.\n"
    )


def files(settings: Settings) -> FileSystemArtifactStore:
    """The files of the profile's studies."""
    folder = journal_path(settings).with_name("studies.files")
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(folder)


def attach_best(study: Study, settings: Settings, best_toml: Path, n_finished: int) -> None:
    """Attach the best settings of `n_finished` trials to the study, once."""
    name = f"best-of-{n_finished}-trials.toml"
    if name in {one.filename for one in get_all_artifact_meta(study)}:
        return
    with tempfile.TemporaryDirectory() as folder:
        named = shutil.copy(best_toml, Path(folder) / name)
        upload_artifact(artifact_store=files(settings), file_path=str(named), study_or_trial=study)


def serve(settings: Settings, port: int) -> None:
    """The profile's studies in a browser, until interrupted."""
    storage = open_existing_storage(settings)
    import optuna_dashboard  # slow, and nothing else needs it

    app = optuna_dashboard.wsgi(storage, artifact_store=files(settings))
    try:
        server = make_server(HERE, port, app, handler_class=_Quiet)
    except (OSError, OverflowError) as error:  # taken, forbidden, or no port at all
        raise InputError(f"--port {port}: {error}; try another, or 0 for any") from None
    # Not KeyboardInterrupt, which wsgiref swallows where it comes in the middle of an answer.
    # shutdown() waits for the loop that this handler interrupts: hence the thread.
    signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"40_tune dashboard at http://{HERE}:{server.server_port}/ until Ctrl-C", flush=True)
    with server:
        server.serve_forever()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_) -> None:
        """Nothing: a line per request would hide the address."""
