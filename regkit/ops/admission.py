"""Whether registries let us in, asked before any work: an absent one is found before a build of twenty minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from regkit.errors import Unavailable
from regkit.oci.reference import Reference
from regkit.ops.tasks import each
from regkit.targets.repository import Repository
from regkit.transport.session import Session

Admission: TypeAlias = Mapping[Reference, tuple[str, ...] | Unavailable]
"""The tags of each repository, or why it can't be reached now."""


def admit(session: Session, images: Sequence[Reference]) -> Admission:
    """Ask for the tags of all, with credentials that may also push; raise AccessDenied where one keeps us out."""

    def ask(image: Reference) -> tuple[str, ...] | Unavailable:
        try:
            return Repository(session, image).admit()
        except Unavailable as error:
            return error

    return dict(zip(images, each(ask, images), strict=True))
