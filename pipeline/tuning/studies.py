"""One study of 40_tune: which settings of which network are searched, over which folds."""

from dataclasses import dataclass, replace

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import TrialState

from models.settings import NetworkSettings
from pipeline import graph
from pipeline.artifacts.spec import ArtifactSpec
from pipeline.config import search_space
from pipeline.config.choices import refuse
from pipeline.config.networks import paper_settings
from pipeline.config.search_space import Space
from pipeline.config.settings import Settings
from pipeline.tuning.pruning import make_pruner
from pipeline.tuning.storage import open_storage

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Search:
    """What defines a study.

    spec            of the artifact that 40_tune writes
    parallel_folds  whether the folds of a trial are trained side by side
    workers         processes that run its trials here
    """

    settings: Settings
    model: str
    space: Space
    spec: ArtifactSpec
    parallel_folds: bool = False
    workers: int = 1

    @classmethod
    def of(cls, settings: Settings, model: str) -> "Search":
        """Raises InputError where the run's rules refuse an end or a choice of the space."""
        network, spec = settings.networks[model], graph.tunings(settings)[model]
        space = search_space.load(model, network)
        for key, parameter in space.items():
            for value in parameter.ends:  # as if it had been typed: rules=strict refuses some
                tried = search_space.apply(network, {key: value}, f"{model}.{key}")
                networks = settings.networks | {model: tried}
                refuse(replace(settings, networks=networks))
        return cls(settings, model, space, spec)

    @property
    def name(self) -> str:
        """Of the study: profile, network, folds, and a hash of all that its trials share."""
        return f"{self.settings.profile}-{self.spec.path.name}"

    @property
    def folds(self) -> list[int]:
        return list(graph.fold_numbers(self.settings))

    @property
    def network(self) -> NetworkSettings:
        """The settings that trials change."""
        return self.settings.networks[self.model]

    def create(self) -> Study:
        """The study, new or resumed; its first trials: the published and the present settings."""
        study = optuna.create_study(
            study_name=self.name,
            storage=open_storage(self.settings),
            direction="maximize",
            load_if_exists=True,
        )
        published = paper_settings(self.model)
        for origin, network in (("published", published), ("present", self.network)):
            values = search_space.values(network, self.space)
            outside = ", ".join(search_space.outside(values, self.space))
            if outside:
                message = f"no trial of the {origin} settings, which the space lacks: {outside}"
                print(f"40_tune {self.model}: {message}", flush=True)
            else:
                study.enqueue_trial(values, user_attrs={"origin": origin}, skip_if_exists=True)
        return study

    def load(self, worker: int) -> tuple[Study, int]:
        """The study for one worker, and the seed of that worker's sampler.

        Workers have different seeds, and a resumed study has others, so that no settings are drawn
        twice.
        """
        tune_cfg = self.settings.tune
        study = optuna.load_study(
            study_name=self.name,
            storage=open_storage(self.settings),
            pruner=make_pruner(tune_cfg.pruner, len(self.folds)),
        )
        entropy = [tune_cfg.seed, len(study.get_trials(deepcopy=False)), worker]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        study.sampler = TPESampler(constant_liar=True, seed=seed)
        return study, seed


def count(study: Study, *states: TrialState) -> int:
    return len(study.get_trials(deepcopy=False, states=states))
