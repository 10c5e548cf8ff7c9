"""Merge: images that were built and pushed apart become one release; complete, or nothing is tagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from regkit.errors import NotFound, UsageError, VerificationFailed
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.images import Content, Origin
from regkit.ops.presence import absent_from
from regkit.ops.records import check_complete, check_records, read_records
from regkit.ops.request import open_sources
from regkit.ops.source import from_ci
from regkit.targets.repository import Repository
from regkit.transport.session import Session


def read_parts(
    session: Session,
    images: Sequence[Reference],
    *,
    env: Mapping[str, str],
    digest_dir: Path | None = None,
    sources: Sequence[str] = (),
    expected: Sequence[Platform] = (),
    commit: str | None = None,
) -> tuple[Content, str | None]:
    """Find what is to be merged, by the records in `digest_dir` or in `sources`; give it, and the commit it is of.

    Raise UsageError for a file that isn't a record; Refused for records of another repository or commit;
    VerificationFailed where anything that is expected is missing. Nothing is written.
    """
    if (digest_dir is None) == (not sources):
        raise UsageError("nothing says what to merge, or two things do", hint="give --digest-dir DIR, or references")
    if digest_dir is None:
        return _of_sources(session, sources, expected), commit
    records = read_records(digest_dir)
    said = commit or from_ci(env).commit
    repository = Repository(session, check_records(records, images, expected, said))
    lost = {d.digest for d in absent_from(repository, [record.descriptor for record in records])}
    if lost:
        what = ", ".join(f"{r.platform} ({r.descriptor.digest})" for r in records if r.descriptor.digest in lost)
        raise VerificationFailed(
            f"{repository.name} doesn't have what the records say: {what}",
            hint="the registry may have removed what no tag names: build again; nothing was tagged",
        )
    origins = [Origin.of(repository.name, repository, [record.descriptor]) for record in records]
    asked = expected or [record.platform for record in records]
    try:
        content = Content.read(origins, asked)
    except NotFound as error:
        raise VerificationFailed(f"a record isn't true: {error.message}", hint=error.hint) from None
    return content, commit or next((record.commit for record in records if record.commit), None)


def _of_sources(session: Session, sources: Sequence[str], expected: Sequence[Platform]) -> Content:
    """Read what is named; where it's said what is expected, a name of nothing is something missing."""
    origins: list[Origin] = []
    missing: list[NotFound] = []
    for source in dict.fromkeys(sources):
        try:
            origins += open_sources(session, [source])
        except NotFound as error:
            missing.append(error)
    if missing and not expected:
        raise missing[0]
    if missing:
        said = "; ".join(error.message for error in missing)
        raise VerificationFailed(f"not all that is to be merged is there: {said}", hint="nothing was tagged")
    content = Content.read(origins)
    check_complete([image.platform for image in content.images], expected)
    return Content.read(origins, expected) if expected else content
