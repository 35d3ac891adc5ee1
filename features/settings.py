"""Settings of the data sources and of the store, declared as those in models.settings.

Nothing but the standard library is imported here: a command line reads its settings before it
loads what works with them.
"""

import re
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

Plant = Literal[
    "none",
    "item_id",
    "level",
    "history_length",
    "user_id",
    "target_in_history",
    "row_order",
    "shift",
    "user_overlap",
    "level_mismatch",
    "never_clicked",
    "tag_order",
    "content_sign",
    "content_rate",
    "user_modulo",
    "user_rows",
    "user_copy",
    "target_in_other_history",
    "near_duplicate",
    "row_history",
]
PLANTS: tuple[str, ...] = get_args(Plant)
Slates = Literal["independent", "one_click", "broken"]
Negatives = Literal["popularity", "mixed", "uniform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings:
    """The generated world: how large it is, and what is planted in it."""

    users: Annotated[int, "[1, 10^8]", "Number of train users, with four rows each."] = 8000
    valid_users: Annotated[int, "[1, 10^8]", "Number of users in the official valid."] = 1000
    test_users: Annotated[int, "[1, 10^8]", "Number of users in the test."] = 4000
    items: Annotated[
        int,
        "[200, 10^7]",
        "Number of items; at least 200, so that the generator can fill its item groups.",
    ] = 2000
    tags: Annotated[
        int, "[12, 10^7]", "Number of different tags; at least 12, one for each topic."
    ] = 300
    history: Annotated[
        float,
        "(0, 100] items",
        "Median number of items in a user's history, beyond three that every one has; the longest"
        " have 100.",
    ] = 3.2
    seed: Annotated[int, "[0, 2^63)", "Another seed generates another world."] = 0
    plant: Annotated[
        Plant, "A leak or a shift that is planted into the world, for 15_probe to find."
    ] = "none"
    slates: Annotated[
        Slates,
        "How a user's rows are clicked: independent of each other; exactly one of them (one_click);"
        " or so with a twentieth of the users having five rows, two clicks or none (broken).",
    ] = "independent"

    def __post_init__(self) -> None:
        if self.slates != "independent" and self.plant != "none":
            raise ValueError(
                f"plant = {self.plant!r} changes rows one by one and slates = {self.slates!r} draws"
                " them together: only one of both can be set"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSettings:
    """A public MicroLens release, and how rows are made of its events."""

    dir: Annotated[str, "Folder of the release."] = ""
    negatives: Annotated[
        Negatives,
        "How the items that a user did not click are drawn: by their popularity among train users,"
        " uniformly, or mixed, half of them each way.",
    ] = "popularity"
    negatives_per_positive: Annotated[
        int, "[1, 1000] rows", "Rows without a click beside each row with one."
    ] = 3
    train_targets: Annotated[
        int, "[1, 10^6] events", "How many of a train user's last events become clicked rows."
    ] = 2
    history_width: Annotated[
        int, "[1, 10000] items", "How many of the most recent items a row's history keeps."
    ] = 100
    tags: Annotated[
        int, "[0, 10^7]", "How many of the most frequent hashtags become an item's tags."
    ] = 5000
    embeddings: Annotated[
        tuple[str, ...],
        "One or two .npy files with a vector per item (row i is item i + 1), text first, then"
        " images; without them the titles' TF-IDF is used.",
    ] = ()
    valid_share: Annotated[float, "(0, 1)", "Share of all users that go to official valid."] = 0.1
    test_share: Annotated[float, "(0, 1)", "Share of all users that go to the test."] = 0.1
    seed: Annotated[
        int, "[0, 2^32)", "Seed of the split, the negatives, the order of rows and the SVD."
    ] = 0

    def __post_init__(self) -> None:
        if not self.valid_share + self.test_share < 1:
            raise ValueError(
                f"valid_share = {self.valid_share} and test_share = {self.test_share}"
                " must together be less than 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeSettings:
    """A folder of files in the challenge's schema."""

    dir: Annotated[str, "Folder in the challenge's schema."] = ""
    published_sizes: Annotated[
        bool, "Whether the published row counts and vocabularies of MicroLens-1M are enforced."
    ] = False
    url: Annotated[
        str, "Address of such a folder on a web server, for ./run_all.sh --download; empty: none."
    ] = ""

    def __post_init__(self) -> None:
        problem = address_problem(self.url) if self.url else None
        if problem:
            raise ValueError(f"url = {self.url!r} {problem}")


def address_problem(url: str) -> str | None:
    """What is wrong with the address of a folder on a web server, or None."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError as error:
        return f"is no address ({error})"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        return "must be an address that begins with https:// or http://"
    if not re.fullmatch(r"[!-~]+", url) or "@" in parts.netloc or parts.query or parts.fragment:
        return "must be a plain address: no spaces, user names, passwords, ? or #"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSettings:
    """What the store makes of the items; see features.store.content and features.store.codes."""

    content: Annotated[
        Literal["given", "joint_pca", "modality_pca"],
        "Content vectors of the items: given takes item_emb_d128; joint_pca rebuilds them by one"
        " PCA of text and image vectors together, modality_pca by a PCA of each.",
    ] = "given"
    content_width: Annotated[
        int, "[1, 10000]", "Width of rebuilt content vectors; even for modality_pca."
    ] = 128
    codes: Annotated[
        int, "[0, 100]", "Levels of semantic codes of the content vectors; 0 makes none."
    ] = 0
    codebook: Annotated[int, "[2, 2^20]", "Number of different codes on each level."] = 256
    seed: Annotated[int, "[0, 2^32)", "Seed of the semantic codes' k-means."] = 0

    def __post_init__(self) -> None:
        if self.content == "modality_pca" and self.content_width % 2:
            raise ValueError(
                f"content_width = {self.content_width} must be even: modality_pca halves it"
            )

    def in_force(self) -> dict[str, str | int]:
        """The settings that change the store: those of a PCA or of codes that are asked for."""
        content = ("content", "content_width") if self.content != "given" else ()
        codes = ("codes", "codebook", "seed") if self.codes else ()
        return {name: getattr(self, name) for name in (*content, *codes)}

    @property
    def unread(self) -> set[str]:
        """Settings that nothing reads: of a PCA or of codes that are not asked for."""
        return asdict(self).keys() - self.in_force().keys() - {"content", "codes"}
