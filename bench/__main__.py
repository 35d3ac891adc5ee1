"""Lists the benchmarks. What each measures, reads and takes: its own --help.

What came out: bench/RESULTS.md.
"""

import ast
import sys
from pathlib import Path

from pipeline.runtime import usage

FOLDER = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Module name -> first sentence of its docstring, of every module here that can be run."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__) and 'if __name__ == "__main__":' in text:
            name = ".".join((FOLDER.name, *path.relative_to(FOLDER).with_suffix("").parts))
            doc = ast.get_docstring(ast.parse(text)) or ""
            found[name.removesuffix(".__main__")] = doc.partition("\n\n")[0].replace("\n", "\n    ")
    return found


def main(argv: list[str] | None = None) -> int:
    usage.parser(__doc__).parse_args(argv)
    for name, sentence in benchmarks().items():
        print(f"python -m {name} --help\n    {sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
