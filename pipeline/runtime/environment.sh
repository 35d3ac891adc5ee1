# Sourced by run_all.sh and run_tests.sh: sets $python to an interpreter that has requirements.txt.
# An active environment (virtualenv, conda) is used as it is; otherwise .venv is made, and kept up
# to date with requirements.txt. .ci/run sets $install, pip's arguments, to install the lock file.
# Only torch may differ from its pin: that of an active environment, or, where .venv was made with
# --system-site-packages, that of the machine (docs/notebooks.md).
unset PYTHONSAFEPATH # `python -m pipeline` is found from this folder

missing() { # prints the pins of requirements.txt that $python does not have
    "$python" - "$active" <<'PYTHON'
import re
import signal
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

OLDEST_TORCH = 2, 11  # that was tested


def may_stand_in(torch):
    """Whether a torch that is not the pin is used: it is not ours to replace, and not too old."""
    in_venv = torch.locate_file("").resolve().is_relative_to(Path(sys.prefix).resolve())
    release = tuple(map(int, re.findall(r"[0-9]+", torch.version)[:2]))
    return (sys.argv[1] or not in_venv) and release >= OLDEST_TORCH


signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
for line in open("requirements.txt"):
    pin = re.match(r"([\w.-]+)==(\S+)", line)
    if pin:
        try:
            package = distribution(pin[1])
            found = package.version.split("+")[0]
        except PackageNotFoundError:
            found = "none"
        if pin[1] == "torch" and found not in ("none", pin[2]) and may_stand_in(package):
            used = f"torch {package.version} is used as it is"
            print(f"{used}; {pin[2]} rounds results differently", file=sys.stderr)
        elif found != pin[2]:
            print(f"{pin[1]}=={pin[2]} (found {found})")
PYTHON
}

make_venv() { # again, if an earlier run left it incomplete
    local candidate code
    for candidate in python3.12 python3.11 python3.13 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "making .venv with $("$candidate" --version)"
            code=0
            "$candidate" pipeline/runtime/clock.py "$candidate" -m venv --clear .venv || code=$?
            if [ "$code" = 0 ]; then return; fi
            if [ "$code" = 130 ]; then exit 130; fi # interrupted, as clock.py has printed
            echo "error: $candidate cannot make a virtual environment; on Debian and Ubuntu:" >&2
            echo "apt install $candidate-venv" >&2
            exit 2
        fi
    done
    echo "error: no Python 3.11, 3.12 or 3.13 found; install one and run this again" >&2
    exit 2
}

active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
if [ -n "$active" ] && [ -x "$active/bin/python" ]; then
    python=$active/bin/python
    lacking=$(missing)
    if [ -n "$lacking" ]; then
        echo "error: the active environment $active lacks:" >&2
        echo "$lacking" >&2
        wanted=$(cut -d" " -f1 <<<"$lacking")
        case $wanted in *torch==*) wanted="-r requirements.txt" ;; esac # else its torch stays
        echo "run: python -m pip install $(echo $wanted)   (or deactivate it to get .venv)" >&2
        exit 2
    fi
else
    active=
    python=.venv/bin/python
    "$python" -m pip --version >/dev/null 2>&1 || make_venv
    lacking=$(missing)
    if [ -n "$lacking" ]; then
        install=${install:-$(cut -d" " -f1 <<<"$lacking")} # not -r: torch may be the machine's
        echo "installing $(wc -l <<<"$lacking") packages, and what they need, into .venv"
        if grep -q "^torch==" <<<"$lacking"; then
            echo "  2 GB and a minute with torch's CPU build, several GB and minutes with CUDA's"
        fi
        quiet=--quiet
        if [ -t 1 ]; then quiet=--progress-bar=on; fi
        # shellcheck disable=SC2086 # $install is several arguments
        "$python" pipeline/runtime/clock.py \
            "$python" -m pip install "$quiet" --disable-pip-version-check $install
        echo "installed: $(du -sh .venv | cut -f1) in .venv"
    fi
fi
