"""What is written to the terminal: messages above, live lines below, and nothing wraps.

The cursor rests at the start of the first live line. So a line that another process writes there
lands on a line of its own, and the next frame, which clears from the cursor on, is right whatever
has been written or however the terminal has been resized. (tqdm's bars leave the cursor behind
their text and count lines back to it, which a resize or a foreign line breaks.)
"""

import textwrap

from tqdm.utils import disp_len, disp_trim

CLEAR_LINE, CLEAR_BELOW = "\x1b[K", "\x1b[J"
CUT = "..."
COMMAND, GOES_ON = "python -m", " \\"
WHOLE = ("error: ", "|")  # a command in it can be copied; a table's rows stay rows


def frame(messages: list[str], live: list[str], width: int) -> str:
    """The text that draws `messages` and below them the `live` lines, on `width` columns."""
    text = "\r" + "".join(f"{CLEAR_LINE}{line}\r\n" for line in messages)
    text += "\r\n".join(f"{CLEAR_LINE}{cut(line, width - 1)}" for line in live) + CLEAR_BELOW
    up = f"\x1b[{len(live) - 1}A" if len(live) > 1 else ""
    return f"{text}\r{up}"


def cut(line: str, width: int) -> str:
    """`line`, or its beginning and three dots where it is too wide."""
    if disp_len(line) <= width:
        return line
    return disp_trim(line, max(width - len(CUT), 0)) + CUT[:width]


def shortened(line: str, width: int) -> str:
    """`line`, or its first words and three dots where it is too wide."""
    if disp_len(line) <= width or width <= len(CUT):
        return cut(line, width)
    return cut(textwrap.shorten(line, width, placeholder=f" {CUT}"), width)


def folded(line: str, width: int) -> list[str]:
    """`line` as lines of at most `width`, broken between words and indented.

    Errors stay whole, and so do tables, which have runs of spaces: a terminal wraps them. So does a
    word that is wider, such as a path. A command goes on behind backslashes, as it can be typed.
    """
    words = line.strip()
    if disp_len(line) <= width or line.startswith(WHOLE) or "   " in words:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    lines = textwrap.wrap(
        words, width - len(GOES_ON) * (COMMAND in words), initial_indent=indent,
        subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    *most, last = lines
    begins = next((i for i, part in enumerate(most) if COMMAND in part), len(most))
    return [*most[:begins], *(f"{part}{GOES_ON}" for part in most[begins:]), last]
