"""Settings of a run: a profile's TOML, then key=value words, into frozen dataclasses.

A profile may `extends = "other"`. Tables named like a section below set it; a table named like a
model (models/<name>.toml) changes that model; `[network]` changes every model. Unknown keys, wrong
types and impossible values are all reported in one message that names the nearest known key.
"""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from features.errors import InputError
from features.sources.microlens_release.rows import ReleaseSettings
from features.sources.sample import SampleSettings
from features.store.schema import ChallengeSettings, PrepareSettings
from models.settings import NetworkSettings
from pipeline.config.schema import (
    build,
    merge,
    near,
    parse,
    plain,
    set_word,
    typed,
    without_passwords,
    without_secrets,
)

REPOSITORY = Path(__file__).resolve().parents[2]
PROFILES = REPOSITORY / "pipeline" / "profiles"
MODELS = REPOSITORY / "models"
SPACES = "spaces"  # folder in MODELS of what 40_tune may change, a TOML a network
FULL_DATA = Path("data/MicroLens_1M_x1/train.parquet")

SOURCES = {"sample": SampleSettings, "release": ReleaseSettings, "challenge": ChallengeSettings}
DEFAULT_MODELS = ("qin", "final", "din")
RULES = ("research", "strict")
FOLD_MODES = ("auto", "kfold", "official")
BACKENDS = ("serial", "loky", "dask")
HOMES = ("auto", "device", "host", "stream")
MOST_MEMORY = 1 << 24  # MiB
BLENDERS = (
    "auto",
    "best_single",
    "rank_mean",
    "logit_mean",
    "hill_climbing",
    "logistic",
    "features_only",
    "lightgbm",
)
COLUMNS = ("row_id", "user_id", "ID", "fold", "label", "probability")  # beside logits, in 60_blend
MEANS = ("rank", "logit")
ORIGINS = ("given", "tuned")
PRUNERS = ("median", "hyperband", "wilcoxon", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldsSettings:
    """How the rows that judge a fit are held out."""

    mode: str = "auto"  # kfold: by user, on train | official: on official valid | auto: by rules
    n: int = 5
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How fits run. Only `seeds`, `settings` and streamed rows change what they are; the device,
    the rounding."""

    seeds: tuple[int, ...] = (0,)
    device: str = "auto"  # cpu | cuda | cuda:1 | auto: cuda where there is one
    backend: str = "loky"  # serial: in turn | loky: processes here | dask: workers of `scheduler`
    scheduler: str = ""  # tcp://host:port of a Dask scheduler
    workers: int = 0  # fits at a time; 0: one a GPU, or one a core
    threads: int = 1  # of each fit; more than one changes the rounding
    rows: str = "auto"  # device | host: one batch ahead | stream | auto: device where they fit
    memory: int = 512  # MiB for rows in flight that are streamed from disk; they change the order
    settings: str = "given"  # given: profile and words | tuned: of tune.models, as 40_tune found
    save_every: float = 60.0  # seconds until a fit keeps its state, to go on from; 0: an epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """How 40_tune searches. Only `models`, `seed` and `users` tell studies apart."""

    models: tuple[str, ...] = ("qin",)  # of the run's networks, a study each
    trials: int = 0  # finished ones that a study should come to; 0: no tuning in this run
    seed: int = 0  # another seed, another study
    users: float = 1.0  # share of the train users whose rows trials see: fewer, and quicker trials
    pruner: str = "median"  # after a fold: median | hyperband | wilcoxon | none
    storage: str = ""  # an Optuna URL, for several machines; empty: a journal beside the results
    heartbeat: int = 60  # seconds between a database's signs of life; after two, a trial is dead


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendSettings:
    """How the models become one score."""

    method: str = "auto"  # the name of a blender in cv/blend.py | auto: by nested CV
    external: str = ""  # a csv or zip of a public submission, mixed into the test scores
    external_weight: float = 0.5  # its share; a guess: nothing can judge it
    external_mean: str = "rank"  # rank | logit


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that a run reads besides its data."""

    profile: str
    rules: str = "research"  # strict: one network on the official split, as the award demands
    models: tuple[str, ...] = DEFAULT_MODELS
    artifacts: str = "artifacts"  # folder of everything that can be made again
    submissions: str = "submissions"  # folder of the leaderboard files
    data: SampleSettings | ReleaseSettings | ChallengeSettings
    prepare: PrepareSettings
    folds: FoldsSettings
    tune: TuneSettings
    train: TrainSettings
    blend: BlendSettings
    networks: dict[str, NetworkSettings]
    words: tuple[str, ...]  # as typed: what repeats this run

    @property
    def order(self) -> dict[str, str | int]:
        """What makes the order of training rows another than by default."""
        streamed = self.train.rows == "stream"
        return {"rows": "stream", "memory": self.train.memory} if streamed else {}

    @property
    def official(self) -> bool:
        """Whether fits train on all train rows and are judged on official valid."""
        return self.folds.mode == "official" or (
            self.folds.mode == "auto" and self.rules == "strict"
        )

    @property
    def tuned(self) -> tuple[str, ...]:
        """The networks that train with the settings of their study."""
        return self.tune.models if self.train.settings == "tuned" else ()


def model_names() -> list[str]:
    """The networks that can be trained: a TOML each, the papers' ablations among them."""
    return sorted(path.stem for path in MODELS.rglob("*.toml") if path.parent.name != SPACES)


def model_path(name: str) -> Path:
    return next(path for path in MODELS.rglob(f"{name}.toml") if path.parent.name != SPACES)


def paper_settings(model: str) -> NetworkSettings:
    """A network as its own TOML has it, whatever profile and words make of it."""
    tree = _network(model, {}, {name: {} for name in model_names()})
    return checked(NetworkSettings, tree, model)


def checked(cls, raw: dict, where: str):
    """An instance of `cls` from plain values; raises InputError with every problem at once."""
    problems: list[str] = []
    made = build(cls, raw, where, problems)
    if problems:
        raise InputError("; ".join(problems))
    return made


def default_profile() -> tuple[str, str]:
    """The profile that is meant when none is named, and why."""
    if (REPOSITORY / FULL_DATA).exists():
        return "microlens_1m", f"{FULL_DATA} exists"
    return "sample", f"{FULL_DATA} does not exist"


def load(profile: str, words: list[str]) -> Settings:
    """Settings of `profile` (a name in pipeline/profiles, or a path) changed by key=value `words`.

    Raises InputError with every problem at once.
    """
    path = profile_path(profile)
    raw = _read(path)
    for word in words:
        set_word(raw, word)
    problems: list[str] = []
    raw = _tables(raw, problems)
    networks = _networks(raw, problems)
    data = _data(raw.pop("data"), problems)
    sections = {"prepare": PrepareSettings, "folds": FoldsSettings}
    sections |= {"tune": TuneSettings, "train": TrainSettings, "blend": BlendSettings}
    built = {n: build(cls, raw.pop(n, {}), n, problems) or cls() for n, cls in sections.items()}
    given = {"profile": path.stem, "words": (profile, *words)} | raw
    fixed = {"data": data, "networks": networks, **built}
    settings = build(Settings, given, "", problems, fixed)
    if settings is not None:
        problems += _rules(settings)
    problems += _unread(networks, words)
    if problems:
        said = [plain(without_secrets(word)) for word in (profile, *words)]
        raise InputError(f"{' '.join(said)}: " + plain("; ".join(problems), 10_000))
    return settings


def profile_path(profile: str) -> Path:
    path = Path(profile) if profile.endswith(".toml") else PROFILES / f"{profile}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in PROFILES.glob("*.toml"))
        raise InputError(
            f"no profile {profile!r}{near(profile, known)}; there are {', '.join(known)},"
            " and any path that ends in .toml"
        )
    return path


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict:
    path = path.resolve()
    if path in seen:
        raise InputError(f"{path}: extends itself")
    raw = read_toml(path)
    base = raw.pop("extends", None)
    if base is None:
        return raw
    if not isinstance(base, str):
        raise InputError(f"{path}: extends = {base!r} must be the name or path of one profile")
    beside = path.parent / base
    parent = beside if beside.is_file() else profile_path(base)
    return merge(_read(parent, (*seen, path)), raw)


def read_toml(path: Path) -> dict:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError among them
        raise InputError(f"{path}: not TOML: {error}") from None


def _tables(raw: dict, problems: list[str]) -> dict:
    """Refuse what is no section and no key, before it is taken apart."""
    models = model_names()
    keys = [
        f.name
        for f in dataclasses.fields(Settings)
        if f.name not in ("networks", "words", "profile")
    ]
    for key in [k for k in raw if k not in (*keys, *models, "network")]:
        del raw[key]
        problems.append(f"unknown key {key!r}{near(key, [*keys, *models, 'network'])}")
    sections = ("data", "prepare", "folds", "tune", "train", "blend", "network", *models)
    for key in [k for k in raw if k in sections and not isinstance(raw[k], dict)]:
        problems.append(f"{key} = {raw.pop(key)!r} must be a section: write {key}.<key>=<value>")
    return {"data": {}} | raw


def _networks(raw: dict, problems: list[str]) -> dict[str, NetworkSettings]:
    """Take the models' tables out of `raw`; settings of the models that the run names."""
    shared, names = raw.pop("network", {}), model_names()
    changes = {name: raw.pop(name, {}) for name in names}
    chosen = typed(raw.get("models", DEFAULT_MODELS), tuple[str, ...], "models", [])
    networks = {}
    for name in names:
        if name not in chosen and not changes[name]:
            continue
        tree = _network(name, shared if name in chosen else {}, changes)
        network = build(NetworkSettings, tree, name, problems)  # its own words are checked anyway
        if name in chosen:
            networks[name] = network
    return networks


def _network(name: str, shared: dict, changes: dict[str, dict], seen: tuple[str, ...] = ()) -> dict:
    """The tree of one model: its TOML, `shared` for all, its own changes.

    A model that `extends` another is what the run makes of that one, and its own TOML above it.
    """
    own = read_toml(model_path(name))
    base = own.pop("extends", None)
    if base is None:
        return merge(merge(own, shared), changes[name])
    if not isinstance(base, str) or base not in changes or base in (*seen, name):
        known = [model for model in changes if model not in (*seen, name)]
        raise InputError(
            f"{model_path(name)}: extends = {base!r} must be the name of another network"
            f"{near(str(base), known)}; there are {', '.join(known)}"
        )
    return merge(merge(_network(base, shared, changes, (*seen, name)), own), changes[name])


def _unread(networks: dict[str, NetworkSettings], words: list[str]) -> list[str]:
    """A word that no network would read is a mistake, not a wish to be ignored."""
    problems = []
    for word in words:
        model, _, rest = word.partition("=")[0].partition(".")
        meant = [networks.get(model)] if model != "network" else [*networks.values()]
        meant = [network for network in meant if network is not None]
        if meant and all({rest, rest.split(".")[0]} & network.unread for network in meant):
            parts = ", ".join(f"{n.interest} and {n.interaction}" for n in meant)
            losses = ", ".join(n.fit.loss for n in meant)
            problems.append(f"{word}: not read, the parts of {model} are {parts}, loss {losses}")
        if model == "network":
            problems += [
                f"{word}: {model_path(name).name} has its own; write {name}.{rest}=..."
                for name in networks
                if _sets(name, rest)
            ]
    return problems


def _sets(name: str, key: str) -> bool:
    """Whether the TOML of a model that extends another sets `key`: it then outweighs network's."""
    tree = read_toml(model_path(name))
    if "extends" not in tree:
        return False
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _data(raw: dict, problems: list[str]):
    source = raw.pop("source", None)
    if not isinstance(source, str) or source not in SOURCES:
        problems.append(f"data.source = {source!r} must be one of {', '.join(SOURCES)}")
        return None
    return build(SOURCES[source], raw, "data", problems)


def refuse(s: Settings) -> None:
    """Raises InputError with all of its choices that are not on offer, as for those typed."""
    problems = _rules(s)
    if problems:
        raise InputError("; ".join(problems))


def _rules(s: Settings) -> list[str]:
    """Choices that are not on offer, or that rules=strict excludes."""
    problems = []
    for name, value, known in (
        ("rules", s.rules, RULES),
        ("folds.mode", s.folds.mode, FOLD_MODES),
        ("blend.method", s.blend.method, BLENDERS),
        ("blend.external_mean", s.blend.external_mean, MEANS),
        ("train.backend", s.train.backend, BACKENDS),
        ("train.rows", s.train.rows, HOMES),
        ("train.settings", s.train.settings, ORIGINS),
        ("tune.pruner", s.tune.pruner, PRUNERS),
    ):
        if value not in known:
            problems.append(f"{name} = {value!r} must be one of {', '.join(known)}")
    if s.train.workers < 0 or s.train.threads < 1:
        problems.append("train.workers must be at least 0, train.threads at least 1")
    if not 1 <= s.train.memory <= MOST_MEMORY:
        problems.append(f"train.memory = {s.train.memory} must lie in 1 .. {MOST_MEMORY} (MiB)")
    if s.train.rows != "stream":
        problems += [
            f"{word}: not read without train.rows=stream"
            for word in s.words
            if word.startswith("train.memory=")
        ]
    if not s.train.save_every >= 0:
        problems.append(f"train.save_every = {s.train.save_every:g} must be at least 0 seconds")
    if s.folds.seed < 0 or not all(0 <= seed < 2**63 for seed in s.train.seeds):
        problems.append("folds.seed and train.seeds must lie in 0 .. 2^63 - 1")
    if s.official and s.blend.method not in ("auto", "best_single"):
        problems.append(
            f"blend.method = {s.blend.method!r} needs out-of-fold rows, and folds.mode=official"
            " has none: use best_single"
        )
    if not 0 < s.blend.external_weight < 1:
        problems.append(
            f"blend.external_weight = {s.blend.external_weight:g} must lie between 0 and 1"
        )
    if not s.blend.external:
        problems += [
            f"{word}: not read without blend.external=FILE"
            for word in s.words
            if word.startswith(("blend.external_weight=", "blend.external_mean="))
        ]
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", s.train.device):
        problems.append(f"train.device = {s.train.device!r} must be auto, cpu, cuda or cuda:<n>")
    if not 2 <= s.folds.n <= 127:
        problems.append(f"folds.n = {s.folds.n} must lie in 2 .. 127")
    if not s.train.seeds or len(set(s.train.seeds)) < len(s.train.seeds):
        problems.append(f"train.seeds = {list(s.train.seeds)} must be distinct and at least one")
    if not s.models or len(set(s.models)) < len(s.models):
        problems.append(f"models = {list(s.models)} must be distinct and at least one")
    problems += [
        f"models: {m!r} cannot name a network: letters, digits and _ only, and no name of a blender"
        " or of a column"
        for m in s.models
        if not re.fullmatch(r"\w+", m) or m in (*BLENDERS, *COLUMNS)
    ]
    known = model_names()
    problems += [
        f"models: no model {m!r}{near(m, known)}; there are {', '.join(known)}"
        for m in s.models
        if m not in known
    ]
    unread = [f"prepare.{key}" for key in s.prepare.unread]
    problems += [
        f"{word}: not read with prepare.content={s.prepare.content} and"
        f" prepare.codes={s.prepare.codes}"
        for word in s.words
        if word.partition("=")[0] in unread
    ]
    problems += [
        f"{name}.item_codes=true needs semantic codes: add prepare.codes=3"
        for name, network in s.networks.items()
        if network is not None and network.item_codes and not s.prepare.codes
    ]
    if s.official:
        problems += [
            f"{word}: not read, the official split has no folds"
            for word in s.words
            if word.startswith(("folds.n=", "folds.seed="))
        ]
    problems += [*_spreading(s), *_tuning(s)]
    if s.rules == "strict":
        problems += _strict(s)
    return problems


def _spreading(s: Settings) -> list[str]:
    problems, given = [], [word.partition("=")[0] for word in s.words]
    if s.train.backend == "dask":
        if not re.fullmatch(r"(tcp|tls)://[^/@\s]+:\d{1,5}", s.train.scheduler):
            problems.append(
                "train.scheduler must be the Dask scheduler's tcp://host:port (or tls://), without"
                " user and password: words are written beside results"
            )
        if "train.workers" in given:
            problems.append("train.workers: not read with train.backend=dask, which takes all")
    elif s.train.scheduler:
        problems.append("train.scheduler: not read without train.backend=dask")
    if s.train.backend == "serial" and s.train.workers > 1:
        problems.append(f"train.workers = {s.train.workers}, but train.backend=serial has one")
    return problems


def _tuning(s: Settings) -> list[str]:
    problems = []
    if s.tune.trials < 0 or s.tune.heartbeat < 1 or not 0 <= s.tune.seed < 2**63:
        problems.append(
            "tune.trials must be at least 0, tune.heartbeat at least 1, tune.seed in 0 .. 2^63 - 1"
        )
    if not 0 < s.tune.users <= 1:
        problems.append(f"tune.users = {s.tune.users:g} must be a share, above 0 and at most 1")
    if s.tune.users < 1 and s.train.rows == "stream":
        problems.append("tune.users below 1 picks rows in memory: not with train.rows=stream")
    if without_passwords(s.tune.storage) != s.tune.storage:
        problems.append(
            "tune.storage must not hold a password, since words are written beside results: put it"
            " into ~/.pgpass or PGPASSWORD"
        )
    if s.tune.trials and s.train.backend == "dask" and s.tune.pruner != "none":
        problems.append(
            f"tune.pruner = {s.tune.pruner!r} looks between folds, so train.backend=dask cannot"
            " spread them: add tune.pruner=none, or share trials by tune.storage"
        )
    if s.tune.trials or s.train.settings == "tuned":
        problems += [
            f"tune.models: {model!r} is not among models={','.join(s.models)}"
            for model in s.tune.models
            if model not in s.models
        ]
        if not s.tune.models or len(set(s.tune.models)) < len(s.tune.models):
            problems.append(f"tune.models = {list(s.tune.models)} must be distinct, at least one")
    return problems


def _strict(s: Settings) -> list[str]:
    """What the challenge's rules for Task 2 exclude: one network, the given split, no ensemble."""
    problems = []
    if s.folds.mode == "kfold":
        problems.append(
            "rules=strict refuses folds.mode=kfold: train on the given split (official)"
        )
    if s.blend.method not in ("auto", "best_single"):
        problems.append(f"rules=strict refuses blend.method={s.blend.method}: no ensembles")
    if s.blend.external:
        problems.append(
            "rules=strict refuses blend.external: a mean of two submissions is an ensemble"
        )
    if len(s.train.seeds) > 1:
        problems.append("rules=strict refuses several train.seeds: their mean is an ensemble")
    if s.prepare.content != "given":
        problems.append(
            f"rules=strict refuses prepare.content={s.prepare.content}: only the given features"
        )
    if s.prepare.codes:
        problems.append(
            f"rules=strict refuses prepare.codes={s.prepare.codes}: only the given features"
        )
    problems += [
        f"rules=strict refuses {model}.item_levels: levels of history items are not among the"
        " given features"
        for model, network in s.networks.items()
        if network is not None and network.item_levels
    ]
    return problems
