#!/usr/bin/env bash
# Format, lint, types and tests; each core takes one file of tests at a time. Arguments go to pytest:
#   ./run_tests.sh -k auc
# ./run_tests.sh --long runs the long tests instead: thousands of broken inputs, storms of faults.
set -euo pipefail
cd -P -- "$(dirname -- "$(readlink -f -- "$0")")"
source pipeline/runtime/environment.sh
"$python" -m ruff format --check --quiet . || { echo "run: $python -m ruff format ."; exit 1; }
"$python" -m ruff check --quiet .
"$python" -m mypy --no-error-summary
if [ "${1:-}" = --long ]; then set -- -m long "${@:2}"; fi
exec "$python" -m pytest -n auto --dist loadfile "$@"
