"""The capability table: what each registry does where the specification lets it choose, or where it does otherwise.

Plain data. docs/reference/registries.md is written from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ByTag(StrEnum):
    """What `DELETE /v2/…/manifests/<tag>` does."""

    TAG_ONLY = "removes the tag alone"
    REFUSED = "is refused"
    LAST_TAKES_IMAGE = "removes the tag; with the last one, the image"


class ByDigest(StrEnum):
    """What `DELETE /v2/…/manifests/<digest>` does."""

    ALL_TAGS = "removes the manifest and all its tags"
    REFUSED = "is refused"
    REFUSED_TAGGED = "is refused while a tag is on it"
    REFUSED_REFERENCED = "is refused while an index holds it"


class Children(StrEnum):
    """What keeps the children of an index that stays."""

    PROTECTED = "kept by the registry"
    UNPROTECTED = "not protected"
    TAG_PROTECTED = "only their tags protect them from its garbage collector"


class Untag(StrEnum):
    """A way to be rid of a tag and nothing else."""

    SPEC = "`DELETE` of the tag"
    API = "the vendor's API"
    STAND_IN = "a stand-in manifest, deleted by digest where that is proven to work"
    VERSION = "a stand-in manifest, deleted as a version by the vendor's API"


class Shown(StrEnum):
    """Where a registry takes the text from that it shows for a repository."""

    NOWHERE = "none"
    API = "the vendor's API"
    INDEX = "the index's annotation `org.opencontainers.image.description`"


@dataclass(frozen=True, slots=True)
class Traits:
    """A registry's row. `hosts` are names and patterns (`*`) of its hosts; `api` is its API's address, if not its own.

    `untag` are the ways in the order in which to try them. `full_limit` and `short_limit` bound the descriptions, in
    bytes of UTF-8; None: no bound is known. `short` tells whether there is a second, short text.
    """

    name: str
    title: str
    hosts: tuple[str, ...]
    by_tag: ByTag
    by_digest: ByDigest
    children: Children
    untag: tuple[Untag, ...]
    api: str = ""
    has_api: bool = False
    shown: Shown = Shown.NOWHERE
    full_limit: int | None = None
    short: bool = False
    short_limit: int | None = None
    immutable: str = ""
    """Where its immutable tags are seen beforehand; "" where nothing tells."""
    unsafe: str = ""
    """What regkit refuses to do there, as a whole sentence's end after the registry's name."""
    instead: str = ""
    """What a user can do instead."""
    hides_untagged: bool = False
    """Whether a manifest that no tag and no index leads to isn't found any longer."""
    remarks: tuple[str, ...] = ()


DISTRIBUTION = Traits(
    "distribution",
    "distribution v3",
    (),
    ByTag.TAG_ONLY,
    ByDigest.ALL_TAGS,
    Children.UNPROTECTED,
    (Untag.SPEC,),
)
DISTRIBUTION_2 = Traits(
    "distribution2",
    "distribution 2.x, Debian's docker-registry",
    (),
    ByTag.REFUSED,
    ByDigest.ALL_TAGS,
    Children.TAG_PROTECTED,
    (Untag.STAND_IN,),
    remarks=("Deletes by digest have to be switched on.",),
)
ZOT = Traits(
    "zot",
    "zot",
    (),
    ByTag.TAG_ONLY,
    ByDigest.REFUSED_REFERENCED,
    Children.PROTECTED,
    (Untag.SPEC,),
)
DOCKER_HUB = Traits(
    "dockerhub",
    "Docker Hub",
    ("docker.io",),
    ByTag.REFUSED,
    ByDigest.REFUSED_REFERENCED,
    Children.PROTECTED,
    (Untag.API,),
    api="https://hub.docker.com",
    has_api=True,
    shown=Shown.API,
    full_limit=25_000,
    short=True,
    short_limit=100,
    immutable="the repository's settings",
    remarks=(
        "A GET of a manifest counts as a pull; a HEAD doesn't.",
        "Reads lag behind writes by seconds.",
        "The login's password, a personal access token, or an organisation's token with the organisation's name.",
        "Descriptions and deletion need a token with Read, Write, Delete.",
    ),
)
GHCR = Traits(
    "ghcr",
    "GitHub's registry (ghcr.io)",
    ("ghcr.io",),
    ByTag.REFUSED,
    ByDigest.REFUSED,
    Children.UNPROTECTED,
    (Untag.VERSION,),
    api="https://api.github.com",
    has_api=True,
    shown=Shown.INDEX,
    remarks=(
        "What its API deletes is a version: a digest with all its tags.",
        "It deletes neither the last tagged version of a package nor one with more than 5,000 downloads.",
        "Reads lag behind writes by seconds.",
    ),
)
GITLAB = Traits(
    "gitlab",
    "GitLab",
    ("registry.gitlab.com",),
    ByTag.TAG_ONLY,
    ByDigest.REFUSED_REFERENCED,
    Children.PROTECTED,
    (Untag.API, Untag.SPEC),
    api="https://gitlab.com",
    has_api=True,
    immutable="the project's rules for tags, from GitLab 18.8 on",
    remarks=("A GitLab of one's own needs `api`: its registry doesn't tell where GitLab is.",),
)
HARBOR = Traits(
    "harbor",
    "Harbor",
    ("demo.goharbor.io", "registry.goharbor.io"),
    ByTag.REFUSED,
    ByDigest.ALL_TAGS,
    Children.PROTECTED,
    (Untag.API,),
    has_api=True,
    shown=Shown.API,
    immutable="each tag's state",
    remarks=(
        "It is recognised by what it asks for at a login.",
        "An artifact under an index isn't deleted.",
    ),
)
QUAY = Traits(
    "quay",
    "Quay",
    ("quay.io",),
    ByTag.TAG_ONLY,
    ByDigest.ALL_TAGS,
    Children.PROTECTED,
    (Untag.API, Untag.SPEC),
    has_api=True,
    shown=Shown.API,
    immutable="each tag's state",
    hides_untagged=True,
    remarks=(
        "Its API takes an application's OAuth token; robots and passwords are for the registry alone.",
        "A digest without a tag isn't found.",
    ),
)
ECR = Traits(
    "ecr",
    "Amazon ECR",
    ("*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn", "public.ecr.aws"),
    ByTag.LAST_TAKES_IMAGE,
    ByDigest.ALL_TAGS,
    Children.PROTECTED,
    (Untag.SPEC,),
    unsafe="deletes an image with its last tag",
    instead="keep another tag on the image, or delete the whole image with `aws ecr batch-delete-image`",
)
GAR = Traits(
    "gar",
    "Google Artifact Registry",
    ("*-docker.pkg.dev", "gcr.io", "*.gcr.io"),
    ByTag.TAG_ONLY,
    ByDigest.REFUSED_TAGGED,
    Children.PROTECTED,
    (Untag.SPEC,),
    unsafe="refuses stand-in manifests",
    instead="remove tags before manifests, and indexes before their children",
)
ACR = Traits(
    "acr",
    "Azure Container Registry",
    ("*.azurecr.io", "*.azurecr.cn", "*.azurecr.us"),
    ByTag.REFUSED,
    ByDigest.ALL_TAGS,
    Children.UNPROTECTED,
    (),
    unsafe="removes tags alone only by an API that wants Azure's own login",
    instead="use `az acr repository untag`",
)

TABLE = (DISTRIBUTION, DISTRIBUTION_2, ZOT, DOCKER_HUB, GHCR, GITLAB, HARBOR, QUAY, ECR, GAR, ACR)
"""All rows, in the order of the documentation."""
