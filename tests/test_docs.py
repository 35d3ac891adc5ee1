"""What README and docs/ name must exist."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from bench.gpu.parts import PARTS
from cv.blenders.registry import BLENDERS_BY_NAME
from features.errors import InputError
from pipeline import graph
from pipeline.config import paths
from pipeline.config.load import load
from pipeline.probes.messages import MESSAGES

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = {p: p.read_text() for p in (README, *sorted((ROOT / "docs").glob("*.md")))}
OTHERS = ("CHANGELOG.md", "CONTRIBUTING.md", "bench/RESULTS.md")
LINKED = PAGES | {ROOT / name: (ROOT / name).read_text() for name in OTHERS}
FOLDERS = "pipeline|features|models|cv|submissions|bench|tests|docs"
BY_RUNS = ("submissions/leaderboard.csv", "submissions/LEADERBOARD.md")  # not in the repository
COMMAND = r"(?:\./run_all\.sh|python -m [\w.]+|torchrun [^`\n]*?-m [\w.]+)"


def commands() -> list[tuple[str, str]]:
    """(page, command) of every command that a reader can type, in a block or in a sentence."""
    found = []
    for path, text in PAGES.items():
        text = text.replace("\\\n", " ")
        blocks = re.findall(rf"^    ({COMMAND}.*)$", text, re.MULTILINE)
        inline = re.findall(rf"`({COMMAND}[^`\n]*)`", text)
        found += [(path.name, command) for command in (*blocks, *inline)]
    return found


def arguments(command: str) -> tuple[str, list[str]]:
    """The module of a command and what follows it, without comments."""
    words = shlex.split(command, comments=True)
    if words[0] == "./run_all.sh":
        return "pipeline.__main__", words[1:]
    at = words.index("-m")
    return words[at + 1], words[at + 2 :]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ +(.+)$", text, re.MULTILINE)}


def test_readme_is_read_to_the_end():
    assert len(README.read_text().splitlines()) <= 200


def test_every_stage_is_in_the_table_and_on_disk_and_can_be_run():
    on_disk = {p.stem for p in (ROOT / "pipeline").glob("[0-9]*.py")}
    in_table = set(re.findall(r"^\| `(\d\d_\w+)` \|", PAGES[README], re.MULTILINE))
    assert on_disk == in_table == {*graph.STAGES, "90_score"}  # which is no part of a run
    assert all(callable(importlib.import_module(f"pipeline.{name}").work) for name in on_disk)


NETWORKS = {path.stem for path in paths.MODELS.glob("*.toml")}
TABLES = {  # page, head of a table -> the names in its first column
    ("README.md", "profile"): {path.stem for path in paths.PROFILES.glob("*.toml")},
    ("README.md", "`models=`"): NETWORKS | {"qin_softmax"},  # one of the ablations
    ("docs/models.md", "`models=`"): NETWORKS,
    ("docs/blending.md", "blender"): {*BLENDERS_BY_NAME},
    ("docs/probes.md", "finding"): {*MESSAGES},
}


@pytest.mark.parametrize(("page", "head"), TABLES)
def test_a_table_names_all_that_there_is_and_nothing_else(page, head):
    table = PAGES[ROOT / page].split(f"| {head} |")[1].split("\n\n")[0]
    first = re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", "".join(first))) == TABLES[page, head]


def test_the_parts_of_bench_gpu_stand_in_their_order_with_their_budgets():
    table = PAGES[ROOT / "docs/performance.md"].split("| part |")[1].split("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", table, re.MULTILINE)
    assert found == [(part.name, f"{part.budget:.0f}") for part in PARTS]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(page):
    files = re.findall(rf"\b((?:{FOLDERS})/[\w/]+\.(?:py|md|toml|sh|png|csv))\b", PAGES[page])
    folders = re.findall(rf"`((?:{FOLDERS})/[\w/]*)`", PAGES[page])
    named = {*files, *folders} - {*BY_RUNS}
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", LINKED, ids=lambda path: path.name)
def test_every_link_between_documents_resolves(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", LINKED[page]):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_every_page_is_one_hop_from_readme():
    linked = set(re.findall(r"\]\(docs/(\w+\.md)", PAGES[README]))
    pages = {path.name for path in PAGES if path != README}
    assert linked == pages | {"configuration.md"}


def test_a_function_in_a_table_is_in_the_file_of_its_row():
    """As "paper, equation, file, function" in docs/models.md."""
    n_checked = 0
    for page, text in PAGES.items():
        for row in re.findall(r"^\|.*\.py`.*\|$", text, re.MULTILINE):
            paths = re.findall(r"`([\w/]+\.py)`", row)
            names = re.findall(r"`([A-Za-z_]\w*(?:\.\w+)?)`", row.rsplit("|", 2)[1])
            for name in names:
                n_checked += 1
                assert any(name in defined(ROOT / path) for path in paths), (page.name, name)
    assert n_checked > 15


def defined(path: Path) -> set[str]:
    """Functions, classes and Class.attribute of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names.add(getattr(node, "name", None))
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                target = getattr(inner, "target", None)
                names.add(f"{node.name}.{getattr(inner, 'name', getattr(target, 'id', None))}")
    return names


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_is_understood(page, command):
    module, words = arguments(command)
    assert importlib.util.find_spec(module), module
    if not module.startswith(("pipeline.", "bench.")):
        return
    path = Path(importlib.util.find_spec(module).origin)  # of a folder: its __init__.py
    files = path.parent.glob("*.py") if path.name == "__init__.py" else [path]
    known = "".join(p.read_text() for p in (*files, ROOT / "pipeline" / "runtime" / "cli.py"))
    options = {word for word in words if word.startswith("--")} - {"--settings"}  # awaited
    assert [word for word in options if f'"{word}"' not in known] == []
    overrides = [word for word in words if re.match(r"[\w.]+=", word)]
    profile = words[0] if words and not words[0].startswith("--") else "sample"
    if profile.endswith(".toml") or profile in ("PROFILE", "FILE.zip"):
        profile = "sample"
    if module.startswith("pipeline.") and "=" not in profile and "-" not in profile:
        spelt_out = importlib.import_module("pipeline.40_tune").spelt_out  # model=qin
        load(profile, [word for given in overrides for word in spelt_out(given)])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_setting_that_is_named_is_known(page):
    """`key=value` in a sentence or a table, where settings that it needs may be missing."""
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_0-9]+)*=[^`\n]+)`", PAGES[page])) - {"key=value"}
    words = {word for text in named for word in text.split() if re.match(r"[a-z_.0-9]+=", word)}
    assert [word for word in words if not is_known(word)] == []


def is_known(override: str) -> bool:
    """Whether a run of some profile has such a setting; `model=` is short for tune.models."""
    for profile in ("sample", "microlens_release", "challenge"):
        try:
            load(profile, [re.sub("^model=", "tune.models=", override)])
        except InputError as error:
            if "unknown key" in str(error):
                continue
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commits_are_named_in_results_only(page):
    words = re.findall(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b", PAGES[page])
    assert words == []
