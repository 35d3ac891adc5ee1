"""Downloads from servers that fail."""

import fcntl
import random
import ssl
import time
from pathlib import Path

import pytest

from features.errors import InputError
from features.settings import address_problem
from pipeline.data import connection, download, http
from pipeline.data.http import fetch
from tests.helpers import faulty_server as fs
from tests.helpers.downloads import DATA, OTHER, fetch_train, files_in
from tests.helpers.faulty_server import Site, serving

TEMPORARY = {  # faults after which a later attempt succeeds
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


@pytest.mark.parametrize("faults", TEMPORARY.values(), ids=TEMPORARY)
def test_a_later_attempt_succeeds(site, tmp_path, faults):
    site.faults += faults
    fetch_train(site, tmp_path, size=None if fs.too_long in faults else len(DATA))
    assert (tmp_path / "train.parquet").read_bytes() == DATA
    assert files_in(tmp_path) == ["train.parquet"]
    assert site.served == len(faults)


def test_only_the_missing_bytes_are_requested(site, tmp_path):
    site.faults += [fs.cut]
    fetch_train(site, tmp_path)
    assert "Range" not in site.requests[0]
    assert site.requests[1]["Range"] == f"bytes={int(len(DATA) * 0.4)}-"
    assert site.requests[1]["If-Range"] == site.tag


PERMANENT = {  # faults that no attempt gets past, and the message
    "404": ([fs.status(404)], "404 Not Found"),
    "403": ([fs.status(403)], "403 Forbidden"),
    "a page": ([fs.page], r"something else \(text/html, b'<!DO'...\)"),
    "a page without length": ([fs.page_without_length], r"something else \(text/html"),
    "no length": ([fs.without_length], "does not say how long the file is"),
    "gzip": ([fs.gzipped], "sends gzip, which was not asked for"),
    "no content": ([fs.status(204, b"")], "answers 204"),
    "500 for ever": ([fs.status(500)] * 6, "500 Internal Server Error"),
    "no answer": ([fs.cut_at_once] * 6, "RemoteDisconnected"),
    "a redirect to a file": ([fs.redirect_to("file:///etc/passwd")], "not allowed"),
    "a redirect to ftp": ([fs.redirect_to("ftp://127.0.0.1/x")], "redirects to ftp://127"),
    "a redirect to nonsense": ([fs.redirect_to("http://[")] * 6, "ValueError"),
    "redirects for ever": ([fs.redirect] * 99, "infinite loop"),
}


@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
@pytest.mark.parametrize(("faults", "message"), PERMANENT.values(), ids=PERMANENT)
def test_a_permanent_fault_is_one_line_and_loses_no_bytes(site, tmp_path, faults, message, resumed):
    site.faults += [fs.cut] * resumed + faults
    with pytest.raises(InputError, match=message) as error:
        fetch_train(site, tmp_path)
    assert str(error.value).count("\n") == 0
    assert f"{site.url}/train.parquet: " in str(error.value)
    remedy = "run the same command again to resume" if len(faults) == 6 else "is the address right?"
    assert str(error.value).endswith(remedy)
    received = int(len(DATA) * 0.4)
    assert files_in(tmp_path) == ["train.parquet.part", "train.parquet.part.json"] * resumed
    if resumed:
        assert (tmp_path / "train.parquet.part").read_bytes() == DATA[:received]
        assert f"{received} bytes are kept in" in str(error.value)
    site.faults.clear()
    fetch_train(site, tmp_path)
    assert (tmp_path / "train.parquet").read_bytes() == DATA
    assert ("Range" in site.requests[-1]) == resumed


def test_a_changed_file_starts_over_and_is_never_mixed(site, tmp_path):
    def cut_and_change(to, site):
        fs.cut(to, site)
        site.data = OTHER

    def ignore_if_range(to, site):
        del to.headers["If-Range"]
        fs.serve(to, site)

    for second in ([], [ignore_if_range]):
        site.data, site.faults = DATA, [cut_and_change, *second]
        fetch_train(site, tmp_path)
        assert (tmp_path / "train.parquet").read_bytes() == OTHER


def test_a_server_without_versions_is_never_resumed(site, tmp_path):
    def no_version(to, site):
        fs.serve(to, site, lambda rest: rest[:5000], ETag=None)

    site.faults += [no_version]
    fetch_train(site, tmp_path)
    assert "Range" not in site.requests[1]
    assert (tmp_path / "train.parquet").read_bytes() == DATA


def test_another_address_is_another_file(site, tmp_path):
    site.faults += [fs.cut, fs.status(404)]
    with pytest.raises(InputError):
        fetch_train(site, tmp_path)
    fetch(f"{site.url}/other", tmp_path / "train.parquet", b"PAR1", lambda _: None)
    assert "Range" not in site.requests[-1]


def test_a_whole_part_is_not_requested_again(site, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_train(site, tmp_path, check=stop)
    fetch_train(site, tmp_path)
    assert (tmp_path / "train.parquet").read_bytes() == DATA
    assert len(site.requests) == 1


def test_a_trickle_is_a_fault(site, tmp_path, monkeypatch):
    def trickle(to, site):
        fs.serve(to, site, lambda rest: rest[:4])
        for byte in site.data[4:40]:
            to.wfile.write(bytes([byte]))
            to.wfile.flush()
            time.sleep(0.01)

    monkeypatch.setattr(http, "TIMEOUT", 0.1)
    site.faults += [trickle] * 6
    with pytest.raises(InputError, match=r"bytes came in 0 seconds|timed out|ended at"):
        fetch_train(site, tmp_path)
    assert site.served == 6


def test_a_silent_server_times_out(site, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.05)
    site.faults += [lambda *_: time.sleep(0.3)] * 6
    with pytest.raises(InputError, match="timed out"):
        fetch_train(site, tmp_path)


def test_a_full_disk_is_an_error_that_keeps_the_received_bytes(site, tmp_path, monkeypatch):
    site.faults += [fs.cut, fs.status(404)]
    with pytest.raises(InputError):
        fetch_train(site, tmp_path)
    with monkeypatch.context() as patched:
        free = http.shutil.disk_usage(tmp_path)._replace(free=7)
        patched.setattr(http.shutil, "disk_usage", lambda _: free)
        with pytest.raises(InputError, match=r"bytes more, the disk has 7: make space"):
            fetch_train(site, tmp_path)
    assert len((tmp_path / "train.parquet.part").read_bytes()) == int(len(DATA) * 0.4)
    full = Path("/dev/full")
    if full.exists():
        with full.open("wb", buffering=0) as stream:
            unfinished = http.Download("", full, stream, b"", None, None)
            with pytest.raises(
                InputError, match="No space left on device; the received bytes are kept"
            ):
                unfinished.append(b"x")


def test_one_download_of_a_file_at_a_time(site, tmp_path):
    with (tmp_path / "train.parquet.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="is being written by another download"):
            fetch_train(site, tmp_path)
    fetch_train(site, tmp_path)


def test_certificates_are_verified_and_only_http_and_https_are_spoken():
    handlers = {type(h).__name__: h for h in connection.opener().handlers}
    context = handlers["HTTPSHandler"]._context
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not handlers.keys() & {"FileHandler", "FTPHandler", "DataHandler"}


@pytest.mark.parametrize(
    "url",
    ["ftp://a/b", "file:///etc/passwd", "a/b", "http://", "https://a b/", "https://me:pw@a/b",
     "https://a/b?c", "https://a/b#c", "http://[", "http://a:99999/", "https://a/\n", "http://ä/"],
)  # fmt: skip
def test_bad_addresses_are_refused(url):
    assert address_problem(url)


def test_good_addresses_are_accepted():
    for url in ("https://recsys.westlake.edu.cn/MicroLens_1M_MMCTR", "http://127.0.0.1:80/a"):
        assert address_problem(url) is None


RETRIED = [fs.cut, fs.cut_at_once, fs.garbage, fs.no_ranges, fs.no_ranges_and_cut, fs.redirect]
RETRIED += [fs.status(code) for code in (500, 502, 503, 429)]
RETRIED += [fs.wrong_range, fs.nonsense_range]
FATAL = [fs.page, fs.page_without_length, fs.without_length, fs.gzipped, fs.status(404)]
FATAL += [fs.corrupt, fs.too_short, fs.redirect_to("ftp://a/b"), fs.too_long]


def storm(rounds: int, seed: int, folder: Path) -> tuple[int, int]:
    """Downloads through random faults, repeated until they succeed: faults served, files lost."""
    rng, served, lost = random.Random(seed), 0, 0
    with serving(Site(DATA)) as site:
        for number in range(rounds):
            target = folder / str(number)
            target.mkdir()
            path, part = target / "train.parquet", target / "train.parquet.part"
            site.served, expected = 0, {"bytes": len(DATA), "sha256": download.sha256(folder / "d")}
            site.faults = [rng.choice(RETRIED + FATAL) for _ in range(rng.randrange(1, 12))]
            received = 0
            while not path.exists():
                try:
                    fetch_train(
                        site,
                        target,
                        check=lambda part, path=path, expected=expected: download.check(
                            part, path, None, expected
                        ),
                        size=len(DATA),
                    )
                except InputError as error:
                    corrupted = "it was removed" in str(error)
                    now = part.stat().st_size if part.exists() else 0
                    lost += now < received and not corrupted
                    received = now
            lost += path.read_bytes() != DATA or files_in(target) != ["train.parquet"]
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
