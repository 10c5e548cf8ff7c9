"""Building: every builder its share, side by side; the images are there while the block runs.

What only a build needs is imported where it builds: publishing a layout starts faster without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regkit.config.spec import BuilderConfig
from regkit.errors import RegkitError, Unavailable, UsageError
from regkit.events import Note, StageStarted
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.images import Content, Origin
from regkit.ops.tasks import each
from regkit.targets.layout import Layout
from regkit.transport.session import Session

if TYPE_CHECKING:
    from regkit.build.address import Address
    from regkit.build.fleet import Share
    from regkit.build.means import Means
    from regkit.build.spec import BuildSpec
    from regkit.protocol.auth import Login


@dataclass(frozen=True, slots=True)
class Job:
    """One builder's part of a build, and the layout that it is built into, which isn't there before."""

    spec: BuildSpec
    address: Address
    output: Path


@dataclass(frozen=True, slots=True)
class Built:
    """What was built, and who built what: each job's builder still runs, and its layout is there."""

    content: Content
    jobs: tuple[Job, ...]


@contextmanager
def built(session: Session, spec: BuildSpec, env: Mapping[str, str]) -> Iterator[Built]:
    """Build, and give the images; they are removed afterwards.

    The builders are those of `spec.means`, else `BUILDKIT_HOST`; what none of them is for is built by the one that
    `regkit builder up` started, else by a throw-away one, which serves this one call. Raise Unavailable for a builder
    that isn't there before anything is built; BuildFailed.
    """
    from regkit.build.workspace import workspace

    count = len(spec.platforms)
    session.report(StageStarted("build", f"building {spec.dockerfile} for {count} platform{'s' if count > 1 else ''}"))
    logins = logins_for(session, spec)
    with workspace(env) as directory, ExitStack() as stack:
        jobs = _jobs(session, spec, env, directory, stack)
        _run_lending(session, jobs, env, directory / "docker", logins)
        layouts = [Layout(job.output) for job in jobs]
        origins = [Origin.of("what was built", at, at.roots) for at in layouts]
        yield Built(Content.read(origins, spec.platforms), tuple(jobs))


@contextmanager
def builders(
    session: Session, platforms: Sequence[Platform], means: Means | None, env: Mapping[str, str]
) -> Iterator[dict[Platform, Address]]:
    """Give the builder of each platform, chosen as for a build; those that aren't there already run with the block."""
    from regkit.build.means import Means as No
    from regkit.build.spec import BuildSpec
    from regkit.build.workspace import workspace

    spec = BuildSpec(Path(), Path("Dockerfile"), tuple(platforms), means=means or No())
    with workspace(env) as directory, ExitStack() as stack:
        jobs = _jobs(session, spec, env, directory, stack)
        yield {platform: job.address for job in jobs for platform in job.spec.platforms}


def logins_for(session: Session, spec: BuildSpec) -> dict[str, Login]:
    """Give, by host, the logins for all that a build reads and writes, at mirrors, too; a builder gets no other."""
    return _logins_of(session, _images_read(spec))


def _logins_of(session: Session, images: Iterable[Reference]) -> dict[str, Login]:
    wanted = []
    for image in images:
        wanted.append((image.registry, image.repository))
        said = session.registries.get(image.registry)
        for mirror in said.mirrors if said else ():
            host, _, prefix = mirror.partition("/")
            wanted.append((host, "/".join(filter(None, (prefix, image.repository)))))
    found = [(host, session.login(host, repository)) for host, repository in dict.fromkeys(wanted)]
    return {host: login for host, login in found if login is not None}


def native_platform(env: Mapping[str, str], means: Means) -> Platform:
    """Tell what the builder that is for everything builds without help; raise Unavailable."""
    from regkit.build.address import Address
    from regkit.build.machine import native_platform as native
    from regkit.build.standing import standing_builder
    from regkit.build.workers import worker_platforms

    general = next((each for each in _builders(means, env) if each.pattern == "*"), None)
    address = Address(general.addr, general.tls_dir) if general else standing_builder(env)
    return worker_platforms(address, env)[0] if address else native()


def _jobs(session: Session, spec: BuildSpec, env: Mapping[str, str], directory: Path, stack: ExitStack) -> list[Job]:
    """Ask the builders what they serve, side by side, and share the platforms out."""
    from regkit.build.fleet import share_of

    shares = _shares(session, spec, env)
    local = next((share for share in shares if share.address is None), None)
    own = _local(session, env, stack) if local else None
    jobs = []
    for number, share in enumerate(shares):
        address = share.address or own
        assert address is not None
        if len(shares) > 1:
            session.report(Note(f"{', '.join(map(str, share.platforms))}: built at {address}"))
        part = share_of(spec, share, alone=len(shares) == 1)
        jobs.append(Job(part, address, directory / str(number) / "layout"))
    return jobs


def _shares(session: Session, spec: BuildSpec, env: Mapping[str, str]) -> tuple[Share, ...]:
    from regkit.build.fleet import Share, assign, candidates
    from regkit.build.workers import worker_platforms

    builders = _builders(spec.means, env)
    wanted = {platform: candidates(platform, builders) for platform in spec.platforms}
    asked = list(dict.fromkeys(address for addresses in wanted.values() for address in addresses))
    if len({*wanted.values()}) == 1 and len(asked) < 2:  # there is no choice, and buildctl says itself who is absent
        return (Share(next(iter(asked), None), spec.platforms),)

    def ask(address: Address) -> tuple[Platform, ...] | Unavailable:
        try:
            return worker_platforms(address, env)
        except Unavailable as error:
            return error

    assigned = assign(spec.platforms, builders, dict(zip(asked, each(ask, asked), strict=True)))
    for remark in assigned.remarks:
        session.report(Note(remark, warning=True))
    return assigned.shares


def _builders(means: Means, env: Mapping[str, str]) -> tuple[BuilderConfig, ...]:
    """Give the builders; `BUILDKIT_HOST` is for what no other is for, and for those whose builder isn't there."""
    host = env.get("BUILDKIT_HOST")
    return (*means.builders, *([BuilderConfig("*", host)] if host else []))


def _local(session: Session, env: Mapping[str, str], stack: ExitStack) -> Address:
    """Give the builder that stays, where there is one; else start one that doesn't outlive the block."""
    from regkit.build.builder import throwaway_builder
    from regkit.build.standing import standing_builder
    from regkit.build.workspace import cache_root

    standing = standing_builder(env)
    if standing is not None:
        return standing
    return stack.enter_context(
        throwaway_builder(
            cache_root(env),
            session.report,
            env=env,
            plain_http=session.plain_http,
            ca_file=session.ca_file,
            registries=session.registries,
        )
    )


def _run_lending(
    session: Session, jobs: Sequence[Job], env: Mapping[str, str], directory: Path, logins: dict[str, Login]
) -> None:
    """Build, with logins lent in `directory`.

    What a base image's `ONBUILD` reads, or a frontend of one's own, stands in no Dockerfile. Where a registry refuses
    such an image, and there is a login for it, that one is lent, too; what was built until then is cached.
    """
    from regkit.build.buildctl import ImageDenied
    from regkit.transport.credentials_store import lend

    while True:
        config = lend(directory, logins)
        try:
            _run(session, jobs, env, config)
        except ImageDenied as denied:
            more = {
                host: login for host, login in _logins_of(session, _parsed(denied.image)).items() if host not in logins
            }
            if not more:
                raise
            logins |= more
            said = f"the build reads {denied.image}, which nothing named: the builder gets the login for"
            session.report(Note(f"{said} {', '.join(more)}"))
            for path in (directory, *(job.output for job in jobs)):
                shutil.rmtree(path, ignore_errors=True)
        else:
            return


def _parsed(name: str) -> tuple[Reference, ...]:
    try:
        return (Reference.parse(name),)
    except UsageError:
        return ()


def _run(session: Session, jobs: Sequence[Job], env: Mapping[str, str], docker_config: Path) -> None:
    """Build side by side; the first that fails ends the others, and its error counts."""
    from regkit.build.buildctl import build
    from regkit.build.child import Group

    group = Group()
    failures: list[RegkitError] = []

    def run(job: Job) -> None:
        try:
            build(
                job.spec,
                job.address,
                job.output,
                session.report,
                env=env,
                docker_config=docker_config,
                ca_file=session.ca_file,
                group=group,
            )
        except RegkitError as error:
            if not group.stopped:
                failures.append(error)
            group.stop()

    try:
        each(run, jobs)
    finally:
        group.stop()
    if failures:
        raise failures[0]


def _images_read(spec: BuildSpec) -> tuple[Reference, ...]:
    """Give all that a builder may need logins for: base images, caches, and the generator of SBOMs."""
    from regkit.build.baseimages import GENERATOR, base_images
    from regkit.build.dockerfile import read_dockerfile

    dockerfile = read_dockerfile(spec.dockerfile).decode("utf-8", "replace")
    bases = base_images(dockerfile, dict(spec.build_args))
    generators = [dict(fields).get("generator") or GENERATOR for kind, fields in spec.attests if kind == "sbom"]
    return (*bases, *spec.means.images, *map(Reference.parse, generators))
