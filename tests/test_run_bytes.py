"""Equal inputs give equal bytes, and hidden labels stay unread before the report."""

import shutil

from pipeline import graph
from pipeline.config import load as load_config
from tests.helpers.file_watch import watched
from tests.helpers.tiny_runs import TINY, run, run_stages


def test_one_seed_gives_equal_bytes_and_no_stage_before_the_report_opens_hidden_labels(
    first_run, overrides, tmp_path
):
    elsewhere = [*TINY, f"artifacts={tmp_path}", f"submissions={tmp_path}/s"]
    run("pipeline.00_data", "sample", *elsewhere, shell=False)
    (hidden,) = tmp_path.glob("sample/00_data/*/hidden_labels.parquet")
    s, opens = load_config.load("sample", overrides), {}
    with watched(hidden) as opened:
        for stage in graph.stages(s)[1:]:
            run(f"pipeline.{stage}", "sample", *elsewhere, shell=False)
            opens[stage] = opened()
    assert [stage for stage, yes in opens.items() if yes] == ["80_report"]
    for fit in graph.fits(s).values():
        (other,) = (tmp_path / "sample" / "50_train").glob(fit.path.name)
        for file in ("held.parquet", "test.parquet", "model.pt"):
            assert (other / file).read_bytes() == (fit.path / file).read_bytes()
    submission = graph.submission(s).path
    (other,) = (tmp_path / "s" / "sample").glob("research-*")
    assert other.name == submission.name
    assert (other / "prediction.csv").read_bytes() == (submission / "prediction.csv").read_bytes()


def test_data_do_not_depend_on_the_number_of_threads(tmp_path):
    digests = set()
    for n in "12":
        overrides = [*TINY, f"artifacts={tmp_path}/{n}"]
        run("pipeline.00_data", "sample", *overrides, shell=False, OPENBLAS_NUM_THREADS=n)
        digests.add(graph.digest(graph.data(load_config.load("sample", overrides))))
    assert len(digests) == 1


def test_a_fit_that_is_built_again_alone_has_the_same_bytes(first_run, overrides):
    fits = graph.fits(load_config.load("sample", overrides))
    place = fits["din", 0, 1]
    before = (place.path / "held.parquet").read_bytes()
    shutil.rmtree(place.path)
    run_stages(overrides, "50_train")
    assert (place.path / "held.parquet").read_bytes() == before


def test_the_folder_that_a_source_wrote_gives_the_same_store_as_challenge(first_run, overrides):
    s = load_config.load("sample", overrides)
    own = [w for w in overrides if w.startswith(("artifacts", "submissions"))]
    folder = graph.data(s).path / "challenge"
    run_stages([f"data.dir={folder}", *own], "00_data", "10_prepare", profile="challenge")
    other = load_config.load("challenge", [f"data.dir={folder}", *own])
    assert graph.digest(graph.store(other)) == graph.digest(graph.store(s))


def test_the_stacker_and_its_features_are_the_same_bytes_again(first_run, overrides, tmp_path):
    s = load_config.load("sample", overrides)
    before = {
        name: (graph.blend(s).path / name).read_bytes()
        for name in ("lightgbm.txt", "features_only.txt", "test.parquet", "blend.json")
    }
    features = {path.name: path.read_bytes() for path in graph.features(s).path.glob("*.parquet")}
    for stage in ("30_features", "60_blend"):
        run(f"pipeline.{stage}", "sample", *overrides, "--force", shell=False, OMP_NUM_THREADS="2")
    assert before == {name: (graph.blend(s).path / name).read_bytes() for name in before}
    for name, data in features.items():
        assert (graph.features(s).path / name).read_bytes() == data
