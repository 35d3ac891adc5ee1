"""00_data --download against servers that fail."""

import fcntl
import importlib
import json
import random
import ssl
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.store import schema
from pipeline.data import download as downloading
from pipeline.data import http
from pipeline.data.http import fetch
from tests.helpers import faulty_server as fs
from tests.helpers.faulty_server import Site, serving
from tests.helpers.worlds import tiny_challenge


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No waiting between tries, and tries that count by the kilobyte."""
    monkeypatch.setattr(http, "BACK_OFF", 0.0)
    monkeypatch.setattr(http, "TRICKLE", 1000)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def parquet_bytes(seed: int = 0, n: int = 10_000) -> bytes:
    sink = pa.BufferOutputStream()
    numbers = np.random.default_rng(seed).integers(0, 2**60, n)
    pq.write_table(pa.table({"a": numbers}), sink, compression=None, use_dictionary=False)
    return sink.getvalue().to_pybytes()


DATA, OTHER = parquet_bytes(), parquet_bytes(1)


@pytest.fixture
def site():
    with serving(Site(DATA)) as made:
        yield made


def bring(site: Site, folder: Path, **words) -> None:
    path = folder / "train.parquet"
    words = {"check": lambda _: None} | words
    fetch(f"{site.url}/train.parquet", path, b"PAR1", **words)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


PASSING = {  # faults that a few tries get over
    "none": [],
    "cut": [fs.cut],
    "cut again and again": [fs.cut] * 4,
    "cut before a byte": [fs.cut_at_once] * 3,
    "no status line": [fs.garbage] * 2,
    "500, then all is well": [fs.status(500)],
    "429 and 503": [fs.status(429), fs.status(503)],
    "ranges ignored": [fs.cut, fs.no_ranges],
    "ranges ignored, and cut": [fs.cut, fs.no_ranges_and_cut, fs.cut],
    "a redirect": [fs.redirect],
    "a redirect, then cut": [fs.redirect, fs.cut, fs.redirect],
    "not the range that was asked for": [fs.cut, fs.wrong_range],
    "a range that is none": [fs.cut, fs.nonsense_range],
    "range not satisfiable": [fs.cut, fs.not_satisfiable],
    "said to be longer, and cut": [fs.too_long, fs.cut],
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_what_a_few_tries_get_over(site, tmp_path, faults):
    site.faults += faults
    bring(site, tmp_path, size=None if fs.too_long in faults else len(DATA))
    assert (tmp_path / "train.parquet").read_bytes() == DATA
    assert names(tmp_path) == ["train.parquet"]
    assert site.served == len(faults)


def test_only_what_is_lacking_is_asked_for(site, tmp_path):
    site.faults += [fs.cut]
    bring(site, tmp_path)
    assert "Range" not in site.requests[0]
    assert site.requests[1]["Range"] == f"bytes={int(len(DATA) * 0.4)}-"
    assert site.requests[1]["If-Range"] == site.tag


FINAL = {  # what no try gets over: the message, and whether an earlier part stays
    "404": ([fs.status(404)], "404 Not Found"),
    "403": ([fs.status(403)], "403 Forbidden"),
    "a page": ([fs.page], r"something else \(text/html, b'<!DO'...\)"),
    "a page without length": ([fs.page_without_length], r"something else \(text/html"),
    "no length": ([fs.without_length], "does not say how long the file is"),
    "gzip": ([fs.gzipped], "sends gzip unasked"),
    "no content": ([fs.status(204, b"")], "answers 204"),
    "500 for ever": ([fs.status(500)] * 6, "500 Internal Server Error"),
    "no answer": ([fs.cut_at_once] * 6, "RemoteDisconnected"),
    "a redirect to a file": ([fs.redirect_to("file:///etc/passwd")], "not allowed"),
    "a redirect to ftp": ([fs.redirect_to("ftp://127.0.0.1/x")], "points to ftp://127"),
    "a redirect to nonsense": ([fs.redirect_to("http://[")] * 6, "ValueError"),
    "redirects for ever": ([fs.redirect] * 99, "infinite loop"),
}


@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
@pytest.mark.parametrize(("faults", "said"), FINAL.values(), ids=FINAL)
def test_what_no_try_gets_over_is_said_in_a_line_and_loses_nothing(
    site, tmp_path, faults, said, resumed
):
    site.faults += [fs.cut] * resumed + faults
    with pytest.raises(InputError, match=said) as error:
        bring(site, tmp_path)
    assert str(error.value).count("\n") == 0
    assert f"{site.url}/train.parquet: " in str(error.value)
    remedy = "run this again to go on" if len(faults) == 6 else "is the address right?"
    assert str(error.value).endswith(remedy)
    here = int(len(DATA) * 0.4)
    assert names(tmp_path) == ["train.parquet.part", "train.parquet.part.json"] * resumed
    if resumed:
        assert (tmp_path / "train.parquet.part").read_bytes() == DATA[:here]
        assert f"{here} bytes are kept in" in str(error.value)
    site.faults.clear()
    bring(site, tmp_path)
    assert (tmp_path / "train.parquet").read_bytes() == DATA
    assert ("Range" in site.requests[-1]) == resumed


def test_a_changed_file_starts_over_and_is_never_mixed(site, tmp_path):
    def cut_and_change(to, site):
        fs.cut(to, site)
        site.data = OTHER

    def ignore_if_range(to, site):
        del to.headers["If-Range"]
        fs.well(to, site)

    for second in ([], [ignore_if_range]):
        site.data, site.faults = DATA, [cut_and_change, *second]
        bring(site, tmp_path)
        assert (tmp_path / "train.parquet").read_bytes() == OTHER


def test_a_server_that_tells_no_version_is_never_resumed(site, tmp_path):
    def untold(to, site):
        fs.well(to, site, lambda rest: rest[:5000], ETag=None)

    site.faults += [untold]
    bring(site, tmp_path)
    assert "Range" not in site.requests[1]
    assert (tmp_path / "train.parquet").read_bytes() == DATA


def test_another_address_is_another_file(site, tmp_path):
    site.faults += [fs.cut, fs.status(404)]
    with pytest.raises(InputError):
        bring(site, tmp_path)
    fetch(f"{site.url}/other", tmp_path / "train.parquet", b"PAR1", lambda _: None)
    assert "Range" not in site.requests[-1]


def test_a_part_that_is_whole_is_not_asked_for_again(site, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(site, tmp_path, check=stop)
    bring(site, tmp_path)
    assert (tmp_path / "train.parquet").read_bytes() == DATA
    assert len(site.requests) == 1


def test_a_trickle_is_a_fault(site, tmp_path, monkeypatch):
    def trickle(to, site):
        fs.well(to, site, lambda rest: rest[:4])
        for byte in site.data[4:40]:
            to.wfile.write(bytes([byte]))
            to.wfile.flush()
            time.sleep(0.01)

    monkeypatch.setattr(http, "TIMEOUT", 0.1)
    site.faults += [trickle] * 6
    with pytest.raises(InputError, match=r"bytes came in 0 seconds|timed out|ended at"):
        bring(site, tmp_path)
    assert site.served == 6


def test_a_server_that_says_nothing_is_not_waited_for(site, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.05)
    site.faults += [lambda *_: time.sleep(0.3)] * 6
    with pytest.raises(InputError, match="timed out"):
        bring(site, tmp_path)


def test_a_full_disk_is_said_and_what_is_there_is_kept(site, tmp_path, monkeypatch):
    site.faults += [fs.cut, fs.status(404)]
    with pytest.raises(InputError):
        bring(site, tmp_path)
    with monkeypatch.context() as patched:
        free = http.shutil.disk_usage(tmp_path)._replace(free=7)
        patched.setattr(http.shutil, "disk_usage", lambda _: free)
        with pytest.raises(InputError, match=r"bytes more, the disk has 7: make space"):
            bring(site, tmp_path)
    assert len((tmp_path / "train.parquet.part").read_bytes()) == int(len(DATA) * 0.4)
    full = Path("/dev/full")
    if full.exists():
        with full.open("wb", buffering=0) as stream:
            job = http.Download("", full, stream, b"", None, None)
            with pytest.raises(InputError, match="No space left on device; what is there is kept"):
                job.append(b"x")


def test_one_download_of_a_file_at_a_time(site, tmp_path):
    with (tmp_path / "train.parquet.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="is being written by another download"):
            bring(site, tmp_path)
    bring(site, tmp_path)


def test_certificates_are_verified_and_nothing_but_http_is_spoken():
    handlers = {type(h).__name__: h for h in http._opener().handlers}
    context = handlers["HTTPSHandler"]._context
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not handlers.keys() & {"FileHandler", "FTPHandler", "DataHandler"}


@pytest.mark.parametrize(
    "url",
    ["ftp://a/b", "file:///etc/passwd", "a/b", "http://", "https://a b/", "https://me:pw@a/b",
     "https://a/b?c", "https://a/b#c", "http://[", "http://a:99999/", "https://a/\n", "http://ä/"],
)  # fmt: skip
def test_addresses_that_cannot_be(url):
    assert schema.address_problem(url)


def test_addresses_that_can_be():
    for url in ("https://recsys.westlake.edu.cn/MicroLens_1M_MMCTR", "http://127.0.0.1:80/a"):
        assert schema.address_problem(url) is None


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
    well = fs.well

    def by_path(to, site, *words, **more):
        if to.path not in world:
            return fs.status(404)(to, site)
        site.data = world[to.path]
        return well(to, site, *words, **more)

    monkeypatch.setattr(fs, "well", by_path)
    return site


def stage(capsys, monkeypatch, *words) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["00_data", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("pipeline.00_data").main()
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return ended.value.code, said.out, said.err


@pytest.fixture
def words(mirror, tmp_path):
    target = tmp_path / "data" / "MicroLens_1M_x1"
    return ["challenge", f"data.url={mirror.url}", f"data.dir={target}", "--download"]


def test_the_stage_fetches_all_writes_the_manifest_and_checks_by_it(
    capsys, monkeypatch, mirror, world, words, tmp_path
):
    code, said, _ = stage(capsys, monkeypatch, *words)
    assert code == 0
    folder = tmp_path / "data" / "MicroLens_1M_x1"
    for path, data in world.items():
        assert (tmp_path / "data" / path[1:]).read_bytes() == data
    known = json.loads((folder / "download.json").read_text())
    assert known.keys() == {path.rpartition("/")[2] for path in world}
    assert said.splitlines()[-1].endswith("item_info.parquet item_feature.parquet found")
    code, said, _ = stage(capsys, monkeypatch, *words)
    assert (code, said.count(" kept\n"), len(mirror.requests)) == (0, 5, 5)

    train = folder / "train.parquet"
    train.write_bytes(train.read_bytes()[:500] + b"?" + train.read_bytes()[501:])
    code, _, error = stage(capsys, monkeypatch, *words)
    assert code == 2
    assert "train.parquet: sha256 " in error
    assert "remove it and download it again (or use --force)" in error

    train.unlink()
    place = "/MicroLens_1M_x1/train.parquet"
    right, world[place] = world[place], world[place][:500] + b"?" + world[place][501:]
    code, _, error = stage(capsys, monkeypatch, *words)
    assert code == 2
    assert "what was fetched has sha256" in error
    assert not list(folder.glob("train*"))
    world[place] = right + b"PAR1"
    code, _, error = stage(capsys, monkeypatch, *words)
    assert (code, "bytes, expected " in error) == (2, True)
    world[place] = right
    assert stage(capsys, monkeypatch, *words)[0] == 0
    assert train.read_bytes() == right


BROKEN = {
    "its end is missing": (lambda data: data[:-9], "at its end, expected b'PAR1' at both"),
    "no footer": (lambda data: b"PAR1" * 9, "no parquet footer"),
    "empty": (lambda data: b"", "does not say how long|ended at once"),
    "text": (lambda data: b"ID,Task2\n", "something else"),
}


@pytest.mark.parametrize(("harm", "said"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_parquet_is_not_accepted(
    capsys, monkeypatch, mirror, world, words, tmp_path, harm, said
):
    place = "/MicroLens_1M_x1/train.parquet"
    world[place] = harm(world[place])
    code, _, error = stage(capsys, monkeypatch, *words)
    assert code == 2
    assert any(part in error for part in said.split("|"))
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert not list((tmp_path / "data").rglob("train*"))


def test_a_length_that_is_too_short_is_seen_by_the_files_end(site, tmp_path):
    site.faults += [fs.too_short]
    with pytest.raises(InputError, match="at its end, expected b'PAR1' at both"):
        bring(site, tmp_path, check=lambda part: downloading.check(part, part.parent, None, {}))
    assert names(tmp_path) == []


def test_published_sizes_and_sums_are_asked_for_where_settings_say_so(
    capsys, monkeypatch, words, tmp_path
):
    code, _, error = stage(capsys, monkeypatch, *words, "data.published_sizes=true")
    assert code == 2
    assert "240 rows, expected the published 3600000" in error
    monkeypatch.setattr(downloading.schema, "PUBLISHED_ROWS", {})
    code, _, error = stage(capsys, monkeypatch, *words, "data.published_sizes=true")
    assert code == 2
    assert "expected 182fba831484d931" in error
    assert stage(capsys, monkeypatch, *words, "data.published_sizes=true", "--force")[0] == 0


def test_words_that_name_no_source_are_refused(capsys, monkeypatch, tmp_path):
    code, _, error = stage(capsys, monkeypatch, "sample", "--download")
    assert (code, "profile sample has none" in error) == (2, True)
    code, _, error = stage(capsys, monkeypatch, "challenge", "--download", "data.url=ftp://a/b")
    assert (code, "must be an address that begins with https://" in error) == (2, True)
    code, _, error = stage(capsys, monkeypatch, "challenge", "--download", "data.url=http://a/b")
    assert (code, "--download needs data.dir" in error) == (2, True)
    (tmp_path / "download.json").write_text('{"train.parquet": 3}')
    given = ["challenge", "data.url=http://127.0.0.1:9/b", f"data.dir={tmp_path}", "--download"]
    code, _, error = stage(capsys, monkeypatch, *given)
    assert (code, "holds no sizes and sums" in error) == (2, True)


MINOR = [fs.cut, fs.cut_at_once, fs.garbage, fs.no_ranges, fs.no_ranges_and_cut, fs.redirect]
MINOR += [fs.status(code) for code in (500, 502, 503, 429)]
MINOR += [fs.wrong_range, fs.nonsense_range]
MAJOR = [fs.page, fs.page_without_length, fs.without_length, fs.gzipped, fs.status(404)]
MAJOR += [fs.corrupt, fs.too_short, fs.redirect_to("ftp://a/b"), fs.too_long]


def storm(rounds: int, seed: int, folder: Path) -> tuple[int, int]:
    """Downloads through random faults, called again until they end: faults served, files lost."""
    rng, served, lost = random.Random(seed), 0, 0
    with serving(Site(DATA)) as site:
        for number in range(rounds):
            place = folder / str(number)
            place.mkdir()
            path, part = place / "train.parquet", place / "train.parquet.part"
            site.served, sure = 0, {"bytes": len(DATA), "sha256": downloading.sha256(folder / "d")}
            site.faults = [rng.choice(MINOR + MAJOR) for _ in range(rng.randrange(1, 12))]
            here = 0
            while not path.exists():
                try:
                    bring(
                        site,
                        place,
                        check=lambda part, path=path, sure=sure: downloading.check(
                            part, path, None, sure
                        ),
                        size=len(DATA),
                    )
                except InputError as error:
                    corrupted = "it was removed" in str(error)
                    now = part.stat().st_size if part.exists() else 0
                    lost += now < here and not corrupted
                    here = now
            lost += path.read_bytes() != DATA or names(place) != ["train.parquet"]
            served += site.served
    return served, lost


@pytest.mark.parametrize(
    "rounds", [pytest.param(25, id="quick"), pytest.param(1500, marks=pytest.mark.long, id="long")]
)
def test_no_file_is_lost_in_a_storm_of_faults(tmp_path, rounds, capsys):
    (tmp_path / "d").write_bytes(DATA)
    served, lost = storm(rounds, rounds, tmp_path)
    with capsys.disabled():
        print(f"\ndownloads {rounds}, faults served {served}, files lost {lost}")
    assert served > rounds
    assert lost == 0
