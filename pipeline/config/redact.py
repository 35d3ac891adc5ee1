"""What may be kept and shown of what a user typed."""

import re


def one_line(text: str, limit: int = 200) -> str:
    """`text` on one line, cut after `limit` characters."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."


def without_passwords(text: str) -> str:
    """As it may be kept: no password in a URL."""
    text = re.sub(r"(://[^/:@\s]*):\S*@", r"\1:…@", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:pass|pwd|secret)[^=&\s]*=)[^&\s]+", r"\1…", text)


def without_secrets(text: str) -> str:
    """As it may be shown to others: no user in a URL either."""
    return re.sub(r"://[^/@\s]*@", "://…@", without_passwords(text))
