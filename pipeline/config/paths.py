"""Where profiles, networks and search spaces lie."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROFILES = REPOSITORY / "pipeline" / "profiles"
MODELS = REPOSITORY / "models"
SPACES = "spaces"  # folder in MODELS: what 40_tune may change, one TOML per network
FULL_DATA = Path("data/MicroLens_1M_x1/train.parquet")
