"""Options that list whole numbers: 64,128."""

from features.errors import InputError


def whole_numbers(option: str, text: str, at_least: int) -> list[int]:
    """Those that `text` lists, in its order. Raises InputError for others and for smaller ones."""
    numbers = [int(part) if part.strip().isdecimal() else -1 for part in text.split(",")]
    if min(numbers) < at_least:
        raise InputError(
            f"{option} {text}: expected whole numbers of at least {at_least}, as in 300,400"
        )
    return numbers
