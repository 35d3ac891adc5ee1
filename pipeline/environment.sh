# Sourced by run_all.sh and run_tests.sh: sets $python to an interpreter that has requirements.txt.
# An active environment (virtualenv, conda) is used as it is; otherwise .venv is made, and kept up
# to date with requirements.txt.

missing() { # prints the pins of requirements.txt that $python does not have
    "$python" - <<'PYTHON'
import re
from importlib.metadata import PackageNotFoundError, version

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

if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
    python=$(command -v python)
    lacking=$(missing)
    if [ -n "$lacking" ]; then
        echo "error: the active environment ${VIRTUAL_ENV:-$CONDA_PREFIX} lacks:" >&2
        echo "$lacking" >&2
        echo "run: python -m pip install -r requirements.txt   (or deactivate it to get .venv)" >&2
        exit 2
    fi
else
    python=.venv/bin/python
    if [ ! -x "$python" ]; then
        for candidate in python3.12 python3.11 python3; do
            if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
                base=$candidate
                break
            fi
        done
        if [ -z "${base:-}" ]; then
            echo "error: no Python 3.11 or 3.12 found; install one and run this again" >&2
            exit 2
        fi
        echo "making .venv with $("$base" --version)"
        "$base" -m venv .venv
    fi
    if [ -n "$(missing)" ]; then
        echo "installing requirements.txt into .venv"
        "$python" -m pip install --quiet --disable-pip-version-check -r requirements.txt
    fi
fi
