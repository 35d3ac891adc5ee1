"""docs/extending.md, followed step by step in a copy of the project: its own code is what runs."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
CODE = ("pipeline", "features", "models", "cv", "submissions")
TINY = (
    "data.users=300", "data.valid_users=60", "data.test_users=80", "data.items=200", "folds.n=2",
    "network.fit.max_epochs=2", "network.embedding_dim=4", "network.content_dim=4",
)  # fmt: skip
TOY_SOURCE = """\
from pathlib import Path

from features.settings import SampleSettings, ToySettings
from features.sources import sample


def write(settings: ToySettings, folder: Path) -> dict[str, int]:
    return sample.write(SampleSettings(users=settings.users, items=200, seed=1), folder)
"""
TOY_SETTINGS = '''

@dataclass(frozen=True, slots=True, kw_only=True)
class ToySettings:
    """A toy source."""

    users: Annotated[int, "[1, inf)", "Number of train users."] = 100
'''


def block(start: str) -> str:
    """The one block of code on the page that begins with `start`."""
    blocks = re.findall(r"(?:^ {8}.*\n|^\n)+", PAGE, re.MULTILINE)
    found = [text for text in map(textwrap.dedent, blocks) if text.strip().startswith(start)]
    assert len(found) == 1, f"{len(found)} blocks of docs/extending.md begin with {start!r}"
    return found[0].strip() + "\n"


def insert(path: Path, before: str, text: str) -> None:
    """Put `text` in front of the first `before` in a file."""
    content = path.read_text(encoding="utf-8")
    assert before in content, f"{path.name} has no {before!r}"
    path.write_text(content.replace(before, text + before, 1), encoding="utf-8")


@pytest.fixture
def copy(tmp_path):
    """The code of the project alone, without results."""
    folder = tmp_path / "copy"
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for results in (path for path in (folder / "submissions").iterdir() if path.is_dir()):
        shutil.rmtree(results)
    return folder


def run(copy: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pipeline", *arguments]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def only(copy: Path, pattern: str) -> Path:
    (path,) = (copy / "artifacts").glob(pattern)
    return path


def test_a_feature_a_network_part_and_a_blender_are_added_by_the_steps_of_the_page(copy):
    features, models = copy / "features", copy / "models"
    feature = block('"""How many different items')
    (features / "columns" / "toy_feature.py").write_text(feature, encoding="utf-8")
    insert(features / "table.py", "    tag_overlap,\n)\nfrom", "    toy_feature,\n")
    insert(features / "table.py", "    history_length,\n    row", "    toy_feature,\n")

    (models / "layers" / "gated_unit.py").write_text(block('"""Gated unit'), encoding="utf-8")
    choice, settings = block("Interaction = ").split("\n\n", 1)
    settings, section = settings.rsplit("gated: ", 1)
    section = "gated: " + section.partition("#")[0].strip() + "\n"
    path = models / "settings.py"
    content = path.read_text(encoding="utf-8")
    content = re.sub(r"^Interaction = .*$", choice, content, flags=re.MULTILINE)
    path.write_text(content, encoding="utf-8")
    insert(
        path, "@dataclass(frozen=True, slots=True, kw_only=True)\nclass NetworkSettings", settings
    )
    insert(path, "    fit: FitSettings", f"    {section}")
    case = textwrap.indent(block('case "gated"'), " " * 8)
    insert(models / "network.py", '        case "cross":', case)
    insert(models / "network.py", "from models.layers.mlp",
           "from models.layers.gated_unit import GatedUnit\n")  # fmt: skip
    (models / "toy.toml").write_text(block('interest = "din"'), encoding="utf-8")

    blender = block("def _median")
    blenders = copy / "cv" / "blenders"
    insert(blenders / "linear.py", "BEST_SINGLE = Blender", f"{blender}\n\n")
    insert(blenders / "registry.py", "BEST_SINGLE, HILL", "LOGIT_MEDIAN, ")
    insert(blenders / "registry.py", "        HILL_CLIMBING,\n", "        LOGIT_MEDIAN,\n")
    choices = copy / "pipeline" / "config" / "settings.py"
    insert(choices, '    "hill_climbing",\n', '    "logit_median",\n')

    output = run(copy, "sample", *TINY, "models=toy,din", "toy.gated.width=8")
    assert "logit_median" in output
    train = pl.read_parquet(only(copy, "sample/30_features/*/train.parquet"))
    assert train["h_distinct"].dtype == pl.Int32
    assert len(list((copy / "artifacts").glob("sample/50_train/toy-seed0-fold*"))) == 2
    blend = json.loads(only(copy, "sample/60_blend/*/blend.json").read_text())
    assert "toy" in blend["blenders"]["logit_median"]["models"]
    assert len(list((copy / "submissions").glob("sample/research-*/submission.zip"))) == 1


def test_a_data_source_is_added_by_the_steps_of_the_page(copy):
    features = copy / "features"
    path = features / "settings.py"
    path.write_text(path.read_text(encoding="utf-8") + TOY_SETTINGS, encoding="utf-8")
    (features / "sources" / "toy.py").write_text(TOY_SOURCE, encoding="utf-8")
    registry = features / "sources" / "registry.py"
    entry = '"toy": DataSource(settings=ToySettings, module="features.sources.toy"),'
    insert(registry, "    \"sample\": DataSource", f"    {entry}\n")  # fmt: skip
    insert(registry, "SampleSettings\n", "ToySettings, ")
    profile = 'extends = "sample"\n\n[data]\nsource = "toy"\n'
    (copy / "pipeline" / "profiles" / "toy.toml").write_text(profile, encoding="utf-8")

    run(copy, "toy", "data.users=60", "--to", "20_folds")
    assert only(copy, "toy/00_data/toy-*/challenge/train.parquet").is_file()
    assert len(pl.read_parquet(only(copy, "toy/20_folds/*/folds.parquet"))) == 4 * 60
