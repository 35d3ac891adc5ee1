# Sourced by run_all.sh and run_tests.sh: sets $python to an interpreter that has requirements.txt.
# An active environment (virtualenv, conda) is used as it is; otherwise .venv is made, and kept up
# to date with requirements.txt. .ci/run sets $install, pip's arguments, to install the lock file.
unset PYTHONSAFEPATH # `python -m pipeline` is found from this folder

missing() { # prints the pins of requirements.txt that $python does not have
    "$python" - <<'PYTHON'
import re
import signal
from importlib.metadata import PackageNotFoundError, version

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
for line in open("requirements.txt"):
    pin = re.match(r"([\w.-]+)==(\S+)", line)
    if pin:
        try:
            found = version(pin[1]).split("+")[0]
        except PackageNotFoundError:
            found = "none"
        if found != pin[2]:
            print(f"{pin[1]}=={pin[2]} (found {found})")
PYTHON
}

make_venv() { # again, if an earlier run left it incomplete
    local candidate
    for candidate in python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "making .venv with $("$candidate" --version)"
            "$candidate" pipeline/runtime/clock.py "$candidate" -m venv --clear .venv && return
            echo "error: $candidate cannot make a virtual environment; on Debian and Ubuntu:" >&2
            echo "apt install $candidate-venv" >&2
            exit 2
        fi
    done
    echo "error: no Python 3.11 or 3.12 found; install one and run this again" >&2
    exit 2
}

active=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
if [ -n "$active" ] && [ -x "$active/bin/python" ]; then
    python=$active/bin/python
    lacking=$(missing)
    if [ -n "$lacking" ]; then
        echo "error: the active environment $active lacks:" >&2
        echo "$lacking" >&2
        echo "run: python -m pip install -r requirements.txt   (or deactivate it to get .venv)" >&2
        exit 2
    fi
else
    python=.venv/bin/python
    "$python" -m pip --version >/dev/null 2>&1 || make_venv
    if [ -n "$(missing)" ]; then
        install=${install:--r requirements.txt}
        echo "installing ${install##* } into .venv, 80 packages:"
        echo "  2 GB and a minute with torch's CPU build, several GB and minutes with CUDA's"
        quiet=--quiet
        if [ -t 1 ]; then quiet=--progress-bar=on; fi
        # shellcheck disable=SC2086 # $install is several arguments
        "$python" pipeline/runtime/clock.py \
            "$python" -m pip install "$quiet" --disable-pip-version-check $install
        echo "installed: $(du -sh .venv | cut -f1) in .venv"
    fi
fi
