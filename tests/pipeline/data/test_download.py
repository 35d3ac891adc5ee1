"""00_data --download: the challenge's files from a server."""

import importlib
import json
import sys

import pytest

from features.errors import InputError
from pipeline.data import download
from tests.helpers import faulty_server as fs
from tests.helpers.downloads import fetch_train, files_in
from tests.helpers.worlds import tiny_challenge


@pytest.fixture
def world(tmp_path):
    """The files of a tiny challenge, as a web server has them: by path."""
    folder = tiny_challenge(tmp_path / "source")
    files = {f"/MicroLens_1M_x1/{path.name}": path.read_bytes() for path in folder.iterdir()}
    files["/item_feature.parquet"] = files.pop("/MicroLens_1M_x1/item_feature.parquet")
    return files


@pytest.fixture
def mirror(site, world, monkeypatch):
    """`site`, serving the world's files instead of one."""
    serve = fs.serve

    def by_path(to, site, *arguments, **headers):
        if to.path not in world:
            return fs.status(404)(to, site)
        site.data = world[to.path]
        return serve(to, site, *arguments, **headers)

    monkeypatch.setattr(fs, "serve", by_path)
    return site


def stage(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["00_data", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("pipeline.00_data").main()
    output = capsys.readouterr()
    assert "Traceback" not in output.err
    return ended.value.code, output.out, output.err


@pytest.fixture
def arguments(mirror, tmp_path):
    target = tmp_path / "data" / "MicroLens_1M_x1"
    return ["challenge", f"data.url={mirror.url}", f"data.dir={target}", "--download"]


def test_the_stage_fetches_all_files_and_checks_them_by_its_manifest(
    capsys, monkeypatch, mirror, world, arguments, tmp_path
):
    code, output, _ = stage(capsys, monkeypatch, *arguments)
    assert code == 0
    folder = tmp_path / "data" / "MicroLens_1M_x1"
    for path, data in world.items():
        assert (tmp_path / "data" / path[1:]).read_bytes() == data
    manifest = json.loads((folder / "download.json").read_text())
    assert manifest.keys() == {path.rpartition("/")[2] for path in world}
    assert output.splitlines()[-1].endswith("item_info.parquet item_feature.parquet found")
    code, output, _ = stage(capsys, monkeypatch, *arguments)
    assert (code, output.count(" is up to date\n"), len(mirror.requests)) == (0, 5, 5)

    train = folder / "train.parquet"
    train.write_bytes(train.read_bytes()[:500] + b"?" + train.read_bytes()[501:])
    code, _, error = stage(capsys, monkeypatch, *arguments)
    assert code == 2
    assert "train.parquet: sha256 " in error
    assert "remove it and download it again (or use --force)" in error

    train.unlink()
    path = "/MicroLens_1M_x1/train.parquet"
    right, world[path] = world[path], world[path][:500] + b"?" + world[path][501:]
    code, _, error = stage(capsys, monkeypatch, *arguments)
    assert code == 2
    assert "the fetched file has sha256" in error
    assert not list(folder.glob("train*"))
    world[path] = right + b"PAR1"
    code, _, error = stage(capsys, monkeypatch, *arguments)
    assert (code, "bytes, expected " in error) == (2, True)
    world[path] = right
    assert stage(capsys, monkeypatch, *arguments)[0] == 0
    assert train.read_bytes() == right


BROKEN = {
    "its end is missing": (lambda data: data[:-9], "at its end, expected b'PAR1' at both"),
    "no footer": (lambda data: b"PAR1" * 9, "no parquet footer"),
    "empty": (lambda data: b"", "does not say how long|ended at once"),
    "text": (lambda data: b"ID,Task2\n", "something else"),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_parquet_is_refused(
    capsys, monkeypatch, mirror, world, arguments, tmp_path, damage, message
):
    path = "/MicroLens_1M_x1/train.parquet"
    world[path] = damage(world[path])
    code, _, error = stage(capsys, monkeypatch, *arguments)
    assert code == 2
    assert any(part in error for part in message.split("|"))
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert not list((tmp_path / "data").rglob("train*"))


def test_a_length_that_is_too_short_is_noticed_at_the_files_end(site, tmp_path):
    site.faults += [fs.too_short]
    with pytest.raises(InputError, match="at its end, expected b'PAR1' at both"):
        fetch_train(site, tmp_path, check=lambda part: download.check(part, part.parent, None, {}))
    assert files_in(tmp_path) == []


def test_published_sizes_and_sha256_are_required_where_the_settings_say_so(
    capsys, monkeypatch, arguments, tmp_path
):
    code, _, error = stage(capsys, monkeypatch, *arguments, "data.published_sizes=true")
    assert code == 2
    assert "240 rows, expected the published 3600000" in error
    monkeypatch.setattr(download.schema, "PUBLISHED_ROWS", {})
    code, _, error = stage(capsys, monkeypatch, *arguments, "data.published_sizes=true")
    assert code == 2
    assert "expected 182fba831484d931" in error
    assert stage(capsys, monkeypatch, *arguments, "data.published_sizes=true", "--force")[0] == 0


def test_arguments_that_name_no_source_are_refused(capsys, monkeypatch, tmp_path):
    code, _, error = stage(capsys, monkeypatch, "sample", "--download")
    assert (code, "profile sample has none" in error) == (2, True)
    code, _, error = stage(capsys, monkeypatch, "challenge", "--download", "data.url=ftp://a/b")
    assert (code, "must be an address that begins with https://" in error) == (2, True)
    code, _, error = stage(capsys, monkeypatch, "challenge", "--download", "data.url=http://a/b")
    assert (code, "--download needs data.dir" in error) == (2, True)
    (tmp_path / "download.json").write_text('{"train.parquet": 3}')
    unreachable = ["challenge", "data.url=http://127.0.0.1:9/b", f"data.dir={tmp_path}"]
    code, _, error = stage(capsys, monkeypatch, *unreachable, "--download")
    assert (code, "does not hold bytes and sha256 of every file" in error) == (2, True)
