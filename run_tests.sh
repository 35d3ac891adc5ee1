#!/usr/bin/env bash
# Format, lint and tests, a file of them a core. Arguments go to pytest:  ./run_tests.sh -k auc
set -euo pipefail
cd -P -- "$(dirname -- "$(readlink -f -- "$0")")"
source pipeline/environment.sh
"$python" -m ruff format --check --quiet . || { echo "run: $python -m ruff format ."; exit 1; }
"$python" -m ruff check --quiet .
exec "$python" -m pytest -n auto --dist loadfile "$@"
