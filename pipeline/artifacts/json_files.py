"""JSON objects from files that others may have written."""

import json
from pathlib import Path
from typing import Any

from features.errors import InputError


def read_json(path: Path) -> dict[str, Any]:
    """The keys and values in `path`. Raises InputError where it holds no JSON object."""
    if not path.is_file():
        raise InputError(f"no file {path}; expected JSON, keys with values")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}; expected keys with values")
    return content
