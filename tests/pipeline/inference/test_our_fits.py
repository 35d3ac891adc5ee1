"""90_score with fits of 50_train and stores of 10_prepare."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.settings import PrepareSettings
from features.store import prepare, schema
from models.network import Network
from pipeline.artifacts.spec import ArtifactSpec
from tests.helpers.checkpoints import randomised
from tests.helpers.scoring import (
    DIN,
    QIN,
    RICH,
    assert_close,
    changed,
    directly,
    item_table,
    make_fit,
    make_store,
    ours,
    refused,
    rich_network,
    run,
    scores_of,
    write_to,
)
from tests.helpers.worlds import lists


def test_a_checkpoint_of_ours_scores_as_its_network_does_with_either_kind_of_items(capsys, folder):
    store, network = (
        make_store(folder, PrepareSettings()),
        randomised(Network(DIN, item_table(folder))),
    )
    fit = make_fit(store, network, DIN)
    want = directly(network, folder / "test.parquet")
    for checkpoint in (fit, fit / "model.pt"):
        for items in (store, folder / "item_info.parquet"):
            arguments = ours(folder, checkpoint, items)
            code, output, _ = run(capsys, *arguments, "--out", folder / "p.parquet")
            assert (code, "note" in output) == (0, False)
            got = pl.read_parquet(folder / "p.parquet")["probability"]
            assert_close(got, want)


def test_levels_codes_and_users_come_from_the_store_and_the_rows(capsys, folder):
    store = make_store(folder, PrepareSettings(codes=2, codebook=4))
    network = rich_network(store, n_users=400)
    fit = make_fit(store, network, RICH)
    got = scores_of(capsys, folder, ours(folder, fit, store))
    want = directly(network, folder / "test.parquet")
    assert_close(got, want)
    refused(
        capsys,
        folder,
        ours(folder, fit, folder / "item_info.parquet"),
        "the network reads semantic codes",
    )
    changed("test", "user_id", 3, 400)(folder)
    refused(capsys, folder, ours(folder, fit, store), "user_id: found 400 in row 3")


def test_item_levels_are_read_from_beside_item_info_and_required_by_name(capsys, folder):
    cfg = replace(QIN, item_levels=True)
    store = make_store(folder, PrepareSettings())
    network = rich_network(store, 0, cfg)
    arguments = ours(folder, make_fit(store, network, cfg), folder / "item_info.parquet")
    want = directly(network, folder / "test.parquet")
    assert_close(scores_of(capsys, folder, arguments), want)
    (folder / "item_feature.parquet").unlink()
    refused(capsys, folder, arguments, "item_feature.parquet: found ")


def test_vectors_that_a_store_rebuilt_are_not_taken_from_item_info(capsys, folder):
    rng = np.random.default_rng(0)
    feature = pq.read_table(folder / "item_feature.parquet")
    for name in schema.MODALITIES:
        vectors = lists(rng.normal(size=(len(feature), 70)).astype(np.float32), pa.float32())
        feature = feature.append_column(name, vectors)
    pq.write_table(feature, folder / "item_feature.parquet")
    store = make_store(folder, PrepareSettings(content="joint_pca", content_width=16))
    network = rich_network(store, 0, QIN)
    fit = make_fit(store, network, QIN)
    want = directly(network, folder / "test.parquet")
    got = scores_of(capsys, folder, ours(folder, fit, store))
    assert_close(got, want)
    arguments = ours(folder, fit, folder / "item_info.parquet")
    refused(capsys, folder, arguments, "was trained on prepare.content=joint_pca")
    other = make_store(folder, PrepareSettings())
    refused(
        capsys, folder, ours(folder, fit, other), "128 numbers in a content vector, expected 16"
    )


def test_a_store_whose_content_means_something_else_is_refused(capsys, folder):
    store = make_store(folder, PrepareSettings())
    fit = make_fit(store, randomised(Network(QIN, item_table(folder))), QIN, content="joint_pca")
    changed("test", "likes_level", 0, 1)(folder)
    changed("test", "views_level", 0, 1)(folder)
    target = ArtifactSpec("10_prepare", "store", folder / "elsewhere")
    files = schema.files(folder)
    other = write_to(target, lambda out: prepare.write_store(out, files, False))
    arguments = ours(folder, fit, other)
    refused(capsys, folder, arguments, "its codes or content vectors mean something else")


def test_a_store_with_more_tags_than_the_table_is_refused(capsys, folder):
    store = make_store(folder, PrepareSettings())
    network = randomised(Network(QIN, replace(item_table(folder), n_tags=10)))
    arguments = ours(folder, make_fit(store, network, QIN), store)
    refused(capsys, folder, arguments, "holds tags up to 19, expected at most 9")


def test_another_store_than_the_one_trained_on_is_noted(capsys, folder):
    store = make_store(folder, PrepareSettings())
    fit = make_fit(store, randomised(Network(QIN, item_table(folder))), QIN)
    changed("test", "likes_level", 0, 1)(folder)
    changed("test", "views_level", 0, 1)(folder)
    target = ArtifactSpec("10_prepare", "store", folder / "elsewhere")
    files = schema.files(folder)
    other = write_to(target, lambda out: prepare.write_store(out, files, False))
    code, output, _ = run(capsys, *ours(folder, fit, other), "--out", folder / "p.csv")
    assert code == 0
    assert f"90_score note: {other} is not the store that {fit / 'model.pt'} was trained" in output


def test_a_folder_that_is_no_fit_is_refused(capsys, folder):
    store = make_store(folder, PrepareSettings())
    arguments = ours(folder, store, store)
    refused(capsys, folder, arguments, "expected a folder of pipeline.50_train")
    empty = folder / "empty"
    empty.mkdir()
    refused(capsys, folder, ours(folder, empty, store), "is no fit of ours: expected a folder of")
    absent = ours(folder, folder / "no-such-fit", store)
    refused(capsys, folder, absent, "no-such-fit is no fit of ours")


def older(folder: Path) -> Path:
    """A copy of a result folder as older versions wrote it."""
    copy = folder.with_name(f"older-{folder.name}")
    shutil.copytree(folder, copy)
    (copy / "artifact.json").rename(copy / "artefact.json")
    return copy


def test_result_folders_of_an_older_version_are_refused_by_name(capsys, folder):
    store = make_store(folder, PrepareSettings())
    fit = make_fit(store, randomised(Network(QIN, item_table(folder))), QIN)
    old_fit, old_store = older(fit), older(store)
    message = "is a result of an older version (artefact.json in it; expected artifact.json)"
    for checkpoint in (old_fit, old_fit / "model.pt"):
        refused(capsys, folder, ours(folder, checkpoint, store), f"{old_fit} {message}")
    refused(capsys, folder, ours(folder, fit, old_store), f"{old_store} {message}")
