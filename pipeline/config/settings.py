"""The settings of a run, declared as pipeline.config.schema describes."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from features.settings import (
    ChallengeSettings,
    PrepareSettings,
)
from features.sources.registry import DATA_SOURCES
from models.settings import NetworkSettings

Pruner = Literal["median", "hyperband", "wilcoxon", "none"]
BlenderName = Literal[  # auto, and the names in cv.blenders.registry: a test compares
    "auto",
    "best_single",
    "rank_mean",
    "logit_mean",
    "hill_climbing",
    "logistic",
    "features_only",
    "lightgbm",
    "slate_logistic",
    "slate_lightgbm",
    "slate_ranker",
    "slate_mean",
]
PRUNERS: tuple[str, ...] = get_args(Pruner)
BLENDERS: tuple[str, ...] = get_args(BlenderName)
PAPERS = ("qin", "final", "din")
DEFAULT_MODELS = {  # by rules: the papers' networks, and the best one that is allowed
    "research": (*PAPERS, "qin_columns"),
    "strict": (*PAPERS, "qin_softmax"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldsSettings:
    """How the rows that evaluate a fit are held out."""

    mode: Annotated[
        Literal["auto", "kfold", "official"],
        "kfold holds out whole users of train in turn; official trains on all of train and"
        " evaluates on the official valid; auto takes kfold, or official with rules=strict.",
    ] = "auto"
    n: Annotated[int, "[2, 127] folds", "Number of folds."] = 5
    seed: Annotated[int, "[0, 2^63)", "Another seed deals the users to other folds."] = 0
    stop_users: Annotated[
        float,
        "[0, 0.5]",
        "Share of the users outside a fold whose rows choose the epoch of its fits instead of"
        " training them, rounded to one user in a whole number; 0 lets the held-out fold choose,"
        " which makes CV optimistic.",
    ] = 0.1

    def __post_init__(self) -> None:
        """Raises ValueError for a share of less than one user in 100."""
        if 0 < self.stop_users < 0.01:
            raise ValueError(f"stop_users = {self.stop_users:g} must be 0, or in [0.01, 0.5]")

    @property
    def stop_parts(self) -> int:
        """One user in so many chooses epochs; 0: the held-out fold chooses."""
        return round(1 / self.stop_users) if self.stop_users else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How fits run. Device and threads change how results are rounded; seeds, settings and streamed
    rows change what is learned; the others change neither."""

    seeds: Annotated[
        tuple[int, ...],
        "one or more of [0, 2^63)",
        "Seeds of the networks; each seed trains every network on every fold once more.",
    ] = (0,)
    device: Annotated[
        str, "Device of the fits: cpu, cuda, cuda:1 and so on; auto takes cuda where there is one."
    ] = "auto"
    backend: Annotated[
        Literal["serial", "loky", "dask"],
        "Where fits run: one after another (serial), in processes on this machine (loky), or on the"
        " workers of train.scheduler (dask).",
    ] = "loky"
    scheduler: Annotated[
        str, "Address of the Dask scheduler, tcp://host:port, for train.backend=dask."
    ] = ""
    workers: Annotated[
        int, "[0, inf) fits", "How many fits run at a time; 0 takes one per GPU, or one per core."
    ] = 0
    threads: Annotated[
        int,
        "[1, inf)",
        "CPU threads of each fit; results of more than one thread are rounded differently.",
    ] = 1
    rows: Annotated[
        Literal["auto", "device", "host", "stream"],
        "Where training rows lie: on the device, on the host (copied one batch ahead), or on disk"
        " (stream); auto takes the device where they fit, else the host.",
    ] = "auto"
    memory: Annotated[
        int,
        "[1, 2^24] MiB",
        "Memory for streamed rows that are in flight; it changes the order of the rows, and so the"
        " results.",
    ] = 512
    settings: Annotated[
        Literal["given", "tuned"],
        "given trains every network with the settings of this list; tuned takes the best settings"
        " that 40_tune has found for the networks of tune.models.",
    ] = "given"
    log: Annotated[
        Literal["off", "tensorboard", "mlflow"],
        "Tool that keeps and draws the curves of fits and trials while they run; its package is"
        " optional.",
    ] = "off"
    save_every: Annotated[
        float,
        "[0, inf] seconds",
        "Time after which a fit saves its state at the end of an epoch, to resume from it; 0 saves"
        " after every epoch.",
    ] = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """How 40_tune searches. Only models, seed and users tell one study from another."""

    models: Annotated[
        tuple[str, ...], "The networks of the run that are tuned, with a study for each."
    ] = ("qin",)
    trials: Annotated[
        int, "[0, inf) trials", "How many finished trials a study needs; 0 leaves tuning out."
    ] = 0
    seed: Annotated[int, "[0, 2^63)", "Another seed starts another study."] = 0
    users: Annotated[
        float,
        "(0, 1]",
        "Share of the train users whose rows trials see; fewer make trials faster, and noisier.",
    ] = 1.0
    pruner: Annotated[
        Pruner, "Optuna's rule that stops a trial after a fold that did badly; none stops no trial."
    ] = "median"
    storage: Annotated[
        str,
        "Optuna URL of a database that several machines share; without one, a journal beside the"
        " results.",
    ] = ""
    heartbeat: Annotated[
        int,
        "[1, inf) seconds",
        "Time between a running trial's signs of life in a database; after twice as long it counts"
        " as dead.",
    ] = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendSettings:
    """How the networks' predictions become one score."""

    method: Annotated[
        BlenderName, "The blender that makes the submission; auto takes the best by nested CV."
    ] = "auto"
    slates: Annotated[
        Literal["auto", "off"],
        "Whether a row's score may depend on the other rows of its slate (equal user and history);"
        " auto tries it and judges it by nested CV, off forbids it.",
    ] = "auto"
    external: Annotated[
        str, "File (csv or zip) of somebody else's submission, mixed into the test scores."
    ] = ""
    external_task: Annotated[
        Literal["Task1", "Task2", "Task1&2"], "Column of the external submission that is mixed in."
    ] = "Task2"
    external_weight: Annotated[
        float, "(0, 1)", "Share of the external submission; no data at hand can validate it."
    ] = 0.5
    external_mean: Annotated[
        Literal["rank", "logit"], "Whether ranks or logits are averaged with the external scores."
    ] = "rank"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Everything that a run reads besides its data and the networks."""

    rules: Annotated[
        Literal["research", "strict"],
        "strict allows one network on the official split without an ensemble, as the challenge's"
        " Task 2 demands; research allows everything.",
    ] = "research"
    models: Annotated[
        tuple[str, ...],
        "one or more",
        "The networks that are trained, by their TOML in models/. With rules=strict, qin_softmax"
        " stands for qin_columns, whose inputs those rules forbid.",
    ] = DEFAULT_MODELS["research"]
    artifacts: Annotated[str, "Folder of everything that can be computed again."] = "artifacts"
    submissions: Annotated[str, "Folder of the submissions and their leaderboard."] = "submissions"
    prepare: PrepareSettings = field(default_factory=PrepareSettings)
    folds: FoldsSettings = field(default_factory=FoldsSettings)
    tune: TuneSettings = field(default_factory=TuneSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    blend: BlendSettings = field(default_factory=BlendSettings)


DATA_SETTINGS: dict[str, type] = {  # by data.source; `challenge` are files that stay where they are
    **{name: source.settings for name, source in DATA_SOURCES.items()},
    "challenge": ChallengeSettings,
}
DataSettings = Any  # an instance of one of DATA_SETTINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(RunSettings):
    """The settings of one run.

    profile    name of its profile
    overrides  key=value as typed
    """

    profile: str
    profile_argument: str  # as typed: a name or a path
    overrides: tuple[str, ...]
    data: DataSettings
    networks: dict[str, NetworkSettings]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What repeats this run on a command line: the profile, then the overrides."""
        return (self.profile_argument, *self.overrides)

    @property
    def order(self) -> dict[str, str | int]:
        """The settings that change the order of training rows from the default one."""
        streamed = self.train.rows == "stream"
        return {"rows": "stream", "memory": self.train.memory} if streamed else {}

    @property
    def official(self) -> bool:
        """Whether fits train on all train rows and are evaluated on official valid."""
        return self.folds.mode == "official" or (
            self.folds.mode == "auto" and self.rules == "strict"
        )

    @property
    def chooses_by_stop_users(self) -> bool:
        """Whether users outside a fold choose the epoch of its fits, not the fold itself."""
        return not self.official and self.folds.stop_parts > 0

    @property
    def folds_choose_epochs(self) -> bool:
        """Whether each fold chooses the epochs of its own fits."""
        return not self.official and self.folds.stop_parts == 0

    @property
    def tuned(self) -> tuple[str, ...]:
        """The networks that train with the settings of their study."""
        return self.tune.models if self.train.settings == "tuned" else ()
