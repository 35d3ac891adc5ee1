#!/usr/bin/env bash
# Raw data to a checked leaderboard file. Finished work is kept, so running again continues.
#   ./run_all.sh [PROFILE] [key=value ...] [--from STAGE] [--to STAGE] [--force] [--dry-run]
#   ./run_all.sh [PROFILE] [key=value ...] --settings [PREFIX]    every setting, and where it comes from
#   ./run_all.sh runs [compare A B | clean --keep N]    finished runs: listed, compared, removed
#   ./run_all.sh --help
set -euo pipefail
cd -P -- "$(dirname -- "$(readlink -f -- "$0")")"
source pipeline/runtime/environment.sh
RUN_AS=./run_all.sh exec "$python" -m pipeline "$@"
