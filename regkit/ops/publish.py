"""Publish: from images to a tagged, verified release, in one repository or in many; content first, names last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from regkit.errors import Interrupted, Refused, RegkitError, Unavailable, leave
from regkit.events import ImageFound, Note, ReleaseUp, StageStarted, TagKept
from regkit.oci.reference import Reference
from regkit.ops.admission import Admission, admit
from regkit.ops.building import built
from regkit.ops.checking import Checking
from regkit.ops.images import Content, Origin
from regkit.ops.plan import Destination, Plan, State, plan_publish
from regkit.ops.presence import absent_from
from regkit.ops.publication import Publication
from regkit.ops.result import Published, PublishResult, together, unfinished
from regkit.ops.spec import PublishSpec
from regkit.ops.tasks import CONCURRENCY, ahead, each
from regkit.targets.repository import Repository
from regkit.transport.session import Session

if TYPE_CHECKING:
    from regkit.ops.readme import Comparison

_AGAIN = "the same command again does what is missing"

Failures = dict[Reference, RegkitError]


def plan(
    session: Session,
    spec: PublishSpec,
    *,
    env: Mapping[str, str] | None = None,
    admission: Admission | None = None,
) -> Plan:
    """Ask the registries what is there, and decide; nothing is written. Raise AccessDenied, Unavailable.

    With an environment, as for a publish, it is also looked whether that could build: raise BuildFailed for a base
    image that lacks what is needed of it, UsageError for an engine that is missing. `admission` has the tags of the
    repositories, where they have just been asked for.
    """
    checking = None if env is None else Checking(session, spec, env)
    there = admission or admit(session, spec.images)
    states = each(lambda image: _look(session, spec, image, there), spec.images)
    decided = plan_publish(spec, *states)
    if checking and decided.build:
        checking.await_bases()
    pages = spec.page.state(session) if spec.page else ()
    return replace(_with_pushes(session, spec, decided), pages=pages)


def publish(
    session: Session,
    spec: PublishSpec,
    *,
    env: Mapping[str, str],
    admission: Callable[[], Admission] | None = None,
    approve: Callable[[Plan], Plan] = lambda plan: plan,
) -> PublishResult:
    """Build, push, verify, tag in order, clean up. No tag moves anywhere before all content is there and verified.

    A rerun does what is missing, and nothing where nothing is. Raise AccessDenied or Unavailable before a build;
    BuildFailed, for a base image before the build; Refused where an exact version stands on other content, before
    anything is written; VerificationFailed where a test failed, then too, or a registry doesn't hold or show what it
    took. Of several repositories, one that fails leaves the others finished: the result's `unfinished` says what is
    missing there. Where tags stand on the release by the time that something is raised, the error's `done` is a
    PublishResult that says which. `approve` may refuse the plan, or put another in its place.
    """
    _open_ahead(session, spec, spec.content)
    checking = Checking(session, spec, env)
    failed: Failures = {}
    decided = approve(_decide(session, spec, failed, admission() if admission else None))
    with ExitStack() as stack:
        content = _content(session, spec, decided)
        if content is None:
            assert spec.build is not None
            checking.await_bases()
            made = stack.enter_context(built(session, spec.build, env))
            checking.test_built(made)
            content = made.content
            _open_ahead(session, spec, content)
            # A build takes its time: what others did meanwhile counts, be it this very version.
            decided = approve(_decide(session, spec, failed))
            content = _content(session, spec, decided) or content
        elif decided.reuse is None:
            decided.check_immutable(spec.release_of(content, decided.published).digest)
            checking.test_content(content)
        checking.load(content)
        return _Release(session, spec, decided, content, failed).run()


class _Release:
    """A release on its way into all its repositories; of several, one that fails leaves the others finished."""

    def __init__(self, session: Session, spec: PublishSpec, decided: Plan, content: Content, failed: Failures) -> None:
        self._session, self._spec, self._plan, self._failed = session, spec, decided, failed
        self._content, self._index = content, decided.reuse or spec.release_of(content, decided.published)
        self._publications = {
            there.image: Publication(session, Repository(session, there.image), self._index, content.images)
            for there in decided.destinations
        }
        if decided.reused_from:
            self._publications[decided.reused_from].is_whole = True
        self._up: list[Published] = []
        self._unsettled: Failures = {}
        """What is up, but not as it was asked for."""
        self._lost: set[Reference] = set()
        """Where tags went to others who published at the same time."""

    def run(self) -> PublishResult:
        """Bring all content everywhere, then the names; what is raised has in its `done` the tags that stand."""
        try:
            return self._run()
        except (RegkitError, KeyboardInterrupt) as error:
            if any(publication.tags for publication in self._publications.values()):
                known = error if isinstance(error, RegkitError) else Interrupted("it was interrupted", hint=_AGAIN)
                leave(error, self._result(known))
            raise

    def _run(self) -> PublishResult:
        """Do each stage with all that are still with us."""
        self._plan.check_immutable(self._index.digest)
        for image in self._content.images:
            self._session.report(ImageFound(image.descriptor, image.piece.manifest.layers, image.size))
        todo = [there for there in self._plan.destinations if there.image != self._plan.reused_from]
        for wave in (todo[:1], todo[1:]):  # the others may mount from the first
            self._each(self._push, wave)
        for stage in (self._tag, self._clean):
            for there in self._plan.destinations:
                self._each(stage, [there])
        if not self._up:
            raise next(iter(self._failed.values()))
        pages, unshown = self._show_page()
        result = self._result(together(self._unfinished(), unshown), pages)
        self._session.report(ReleaseUp(result.index, result.names))
        return result

    def _result(self, unfinished: RegkitError | None, pages: tuple[Comparison, ...] = ()) -> PublishResult:
        """Say where the release is up, and then where only some of its tags stand."""
        up = {published.image for published in self._up}
        halfway = [
            replace(self._published(there), up=False)
            for there in self._plan.destinations
            if there.image not in up and self._publications[there.image].tags
        ]
        return PublishResult(
            replace(self._index.descriptor, annotations=self._spec.descriptor_annotations),
            (*self._up, *halfway),
            tuple(image.descriptor for image in self._content.images),
            self._plan.reuse is not None,
            unfinished,
            pages,
        )

    def _published(self, there: Destination) -> Published:
        tags = self._publications[there.image].tags
        return Published(there.image, tags, tuple(kept.tag for kept in there.tags if kept.tag not in tags))

    def _each(self, stage: Callable[[Destination], None], destinations: Iterable[Destination]) -> None:
        """Do a stage side by side where nothing failed so far."""
        alone = len(self._spec.images) == 1

        def attempt(there: Destination) -> None:
            try:
                stage(there)
            except Interrupted:
                raise
            except RegkitError as error:
                if alone:
                    raise
                self._failed[there.image] = error
                self._session.report(Note(f"{there.image.name} isn't finished: {error.message}", warning=True))

        each(attempt, [there for there in destinations if there.image not in self._failed])

    def _push(self, there: Destination) -> None:
        self._session.report(StageStarted("push", f"pushing to {there.image.name}"))
        self._publications[there.image].push(
            self._plan.intermediates, ask=not there.new, sibling=self._sibling_of(there.image)
        )

    def _sibling_of(self, image: Reference) -> Repository | None:
        """Give a repository of the same registry that has all content already."""
        for other, publication in self._publications.items():
            if other != image and other.registry == image.registry and publication.is_whole:
                return publication.repository
        return None

    def _tag(self, there: Destination) -> None:
        self._session.report(StageStarted("tag", f"tagging {there.image.name}"))
        for decision in there.tags:
            if not decision.moves:
                self._session.report(TagKept(decision.tag, decision.reason))
        publication = self._publications[there.image]
        moves = [(tag, there.standing.get(tag)) for tag in there.moving]
        lost = publication.tag(moves, self._spec.settled_release, self._spec.exact_tags)
        if isinstance(lost, Refused):
            self._lost.add(there.image)
        if lost is not None and not publication.tags:
            raise lost
        if lost is not None:
            self._unsettled[there.image] = lost
        self._up.append(self._published(there))

    def _clean(self, there: Destination) -> None:
        names = () if self._plan.keep_intermediates else self._plan.intermediates.values()
        stuck = self._publications[there.image].remove_intermediates(names)
        both = together(self._unsettled.get(there.image), stuck)
        if both is not None:
            self._unsettled[there.image] = both

    def _show_page(self) -> tuple[tuple[Comparison, ...], RegkitError | None]:
        """Show the README where the release is up; what goes wrong with it costs no release."""
        page, up = self._spec.page, [published.image for published in self._up]
        return page.show(self._session, up) if page else ((), None)

    def _unfinished(self) -> RegkitError | None:
        """Say in one sentence what is missing where."""
        if len(self._spec.images) == 1:
            return next(iter(self._unsettled.values()), None)
        said = []
        for image, error in self._failed.items():
            publication = self._publications.get(image)
            tags = publication.tags if publication else ()
            lacking = ", ".join(tag for tag in self._moving(image) if tag not in tags) or "nothing but the cleaning up"
            said.append(f"{image.name} lacks {lacking} ({error.message})")
        said += [error.message.removeprefix("the release is up, but ") for error in self._unsettled.values()]
        up = [published.image.name for published in self._up]
        return unfinished(up, said, self._hint(), lost=self._lost >= self._failed.keys() | self._unsettled.keys())

    def _hint(self) -> str:
        """Say what each of them needs, and then whether a rerun finishes the rest."""
        errors = [*self._failed.values(), *self._unsettled.values()]
        hints = [error.hint for error in errors if error.hint and not isinstance(error, Unavailable)]
        if any(not isinstance(error, Refused) for error in self._failed.values()):
            built = self._spec.build is not None and not self._spec.exact_tags
            same = "" if built else " with the same digests, and without a build"
            hints.append(f"the same command again finishes it{same}")
        return "; ".join(dict.fromkeys(hints))

    def _moving(self, image: Reference) -> tuple[str, ...]:
        planned = (there.moving for there in self._plan.destinations if there.image == image)
        return next(planned, self._spec.wanted_tags)


def _decide(session: Session, spec: PublishSpec, failed: Failures, admission: Admission | None = None) -> Plan:
    """Decide for all repositories that can be reached; the others are `failed`. Raise where none is left."""
    images = [image for image in spec.images if image not in failed]
    there = admission or admit(session, images)

    def look(image: Reference) -> State | Unavailable:
        try:
            return _look(session, spec, image, there)
        except Unavailable as error:
            return error

    states: dict[Reference, State] = {}
    for image, found in zip(images, each(look, images), strict=True):
        if isinstance(found, Unavailable):
            failed[image] = found
            if len(spec.images) > 1:
                session.report(Note(f"{image.name} can't be reached, the others go on: {found.message}", warning=True))
        else:
            states[image] = found
    if not states:
        raise next(iter(failed.values()))
    return plan_publish(replace(spec, images=tuple(states)), *states.values())


def _with_pushes(session: Session, spec: PublishSpec, decided: Plan) -> Plan:
    """Ask what of the content lacks where, as far as it's known before a build."""
    index = decided.reuse or (spec.release_of(spec.content, decided.published) if spec.content else None)
    if index is None:
        return decided
    content = [*index.manifests, index.descriptor]

    def look(there: Destination) -> Destination:
        lacking = () if there.image == decided.reused_from else absent_from(Repository(session, there.image), content)
        return replace(there, pushes=tuple(lacking))

    return replace(decided, destinations=tuple(each(look, decided.destinations)))


def _look(session: Session, spec: PublishSpec, image: Reference, admission: Admission) -> State:
    """Read what the publish may touch in one repository."""
    tags = admission[image]
    if isinstance(tags, Unavailable):
        raise tags
    repository = Repository(session, image)
    touched = [tag for tag in (*spec.wanted_tags, *spec.intermediates.values()) if tag in tags]
    manifests = dict(zip(touched, each(repository.manifest, touched), strict=True))
    state = State(tags, manifests)
    there = state.published(spec) if spec.build and not spec.rebuild else None
    if there is not None:  # it may be reused, if it is whole
        lost = absent_from(repository, there.manifests)
        state = replace(state, missing=frozenset(descriptor.digest for descriptor in lost))
    return state


def _content(session: Session, spec: PublishSpec, decided: Plan) -> Content | None:
    """Give what is published or built already; None where it is to be built."""
    if decided.reuse is None or decided.reused_from is None:
        return spec.content
    session.report(Note(f"nothing to build: {decided.reason}"))
    repository = Repository(session, decided.reused_from)
    return Content.read([Origin.of(repository.name, repository, [decided.reuse.descriptor])])


def _open_ahead(session: Session, spec: PublishSpec, content: Content | None) -> None:
    """Open the connections for what is at hand while the tags are asked for: it is sent right after."""
    if content is not None:
        blobs = sum(len(image.piece.manifest.blobs) for image in content.images)
        hosts = [spec.images[0].registry] * min(blobs, CONCURRENCY)
        ahead(lambda: each(session.open_ahead, hosts))
