"""A plan in a file: made, looked at and approved in one place, carried out in another.

It is the plan's own JSON and, under `request`, what was asked for. The values of build arguments aren't in it: they may
be secret, and the digest of the sources tells whether they are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from regkit.errors import Refused, UsageError
from regkit.oci.annotation import Annotation
from regkit.oci.reference import Reference
from regkit.ops.plan import Destination, Plan
from regkit.ops.request import parse_images, publish_spec
from regkit.ops.saved import read_plan
from regkit.ops.spec import PublishSpec
from regkit.ops.versions import TagDecision, parse_release
from regkit.protocol.flow import printable
from regkit.transport.session import Session

if TYPE_CHECKING:
    from regkit.build.means import Means
    from regkit.build.spec import BuildSpec
    from regkit.ops.readme_page import Page

_AGAIN = "make the plan anew: regkit plan --out FILE"


def plan_document(spec: PublishSpec, plan: Plan) -> dict[str, Any]:
    """Give all that `publish --plan` needs, as a JSON document."""
    build = spec.build
    return {
        **plan.to_json(),
        "request": {
            "images": [image.name for image in spec.images],
            "sources": list(spec.sources),
            "context": _relative(build.context) if build else None,
            "file": _relative(build.dockerfile) if build else None,
            "target": build.target if build else "",
            "buildArgs": [name for name, _ in build.build_args] if build else [],
            "attests": _attests(build) if build else [],
            "sourceDigest": spec.source_digest,
            "ref": _ref(spec),
            "commit": spec.commit,
            "tags": list(spec.tags),
            "annotations": [*map(str, _annotations(spec))],
            "described": dict(spec.described),
            "test": spec.checks.test or None,
            "testPlatforms": [str(platform) for platform in spec.checks.test_platforms],
            "preflight": spec.checks.preflight,
            "stripAttestations": spec.strip_attestations,
            "tagIntermediates": spec.tag_intermediates,
            "keepIntermediates": spec.keep_intermediates,
            "rebuild": spec.rebuild,
            "immutable": spec.immutable,
            "allowDowngrade": spec.allow_downgrade,
            "aliases": spec.aliases,
            "readme": _readme(spec),
            "zeroMajor": spec.release is not None and spec.release.zero_major,
        },
    }


@dataclass(frozen=True, slots=True)
class SavedReadme:
    """The README that goes along: its file, the line above it, and the repositories that it is about."""

    file: Path
    short: str | None
    images: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan that was read from a file; `name` is the file's, for messages."""

    name: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; raise UsageError where it isn't a plan of this schema."""
        return cls(str(path), read_plan(path, "a plan", "request", dict, _AGAIN))

    @property
    def images(self) -> tuple[Reference, ...]:
        """The repositories that it is for."""
        return parse_images(self._strings("images"))

    def spec(
        self,
        session: Session,
        env: Mapping[str, str],
        build_args: Sequence[str] = (),
        own_files: Sequence[Path] = (),
        *,
        means: Means | None = None,
        load: str | None = None,
        load_platform: str | None = None,
        page: Callable[[SavedReadme], Page] | None = None,
    ) -> PublishSpec:
        """Read again what it is about; raise UsageError where the value of a build argument is missing.

        A plan says what is built; `means` say how, and `load` which engine on this machine gets an image.
        `page` reads its README, if it has one; raise Refused where that is another text by now.
        """
        asked = self.document["request"]
        sources = self._strings("sources")
        given = {text.partition("=")[0] for text in build_args} | env.keys()
        lacking = [name for name in self._strings("buildArgs") if name not in given]
        if lacking:
            raise UsageError(
                f"a plan doesn't hold the values of build arguments, and that of {lacking[0]} is missing",
                hint=f"give --build-arg {lacking[0]}=VALUE, as for the plan",
            )
        names = {text.partition("=")[0] for text in build_args}
        spec = publish_spec(
            [image.name for image in self.images],
            self._text("context") or ".",
            env=env,
            session=session,
            sources=sources,
            platforms=[str(platform) for platform in self._list(self.document, "platforms")],
            version=self._text("ref") or "main",
            commit=self._text("commit"),
            tags=self._strings("tags"),
            file=self._text("file"),
            target=self._text("target") or "",
            build_args=[*build_args, *(name for name in self._strings("buildArgs") if name not in names)],
            attests=self._strings("attests"),
            annotations=self._strings("annotations"),
            test=self._text("test"),
            test_platforms=self._strings("testPlatforms"),
            preflight=asked.get("preflight") is not False,
            strip_attestations=asked.get("stripAttestations") is True,
            means=means,
            load=load,
            load_platform=load_platform,
            own_files=own_files,
            page=self._page(page),
        )
        ref, described = self._text("ref"), asked.get("described")
        return replace(
            spec,
            release=parse_release(ref, zero_major=asked.get("zeroMajor") is True) if ref else None,
            commit=self._text("commit"),
            described={str(k): str(v) for k, v in described.items()} if isinstance(described, dict) else {},
            tag_intermediates=asked.get("tagIntermediates") is True,
            keep_intermediates=asked.get("keepIntermediates") is True,
            rebuild=asked.get("rebuild") is True,
            immutable=asked.get("immutable") is not False,
            allow_downgrade=asked.get("allowDowngrade") is True,
            aliases=asked.get("aliases") is not False,
        )

    def _page(self, read: Callable[[SavedReadme], Page] | None) -> Page | None:
        asked = self.document["request"].get("readme")
        if asked is None or read is None:
            return None
        kinds: dict[str, type | tuple[type, ...]] = {
            "file": str,
            "short": (str, type(None)),
            "images": list,
            "digest": str,
        }
        if not isinstance(asked, dict) or any(not isinstance(asked.get(key), kind) for key, kind in kinds.items()):
            raise UsageError(f"{self.name} isn't a plan: 'readme' is something else", hint=_AGAIN)
        images = parse_images([str(image) for image in asked["images"]])
        page = read(SavedReadme(Path(asked["file"]), asked["short"], images))
        if page.digest != asked["digest"]:
            raise Refused(f"{asked['file']} isn't that of the plan {self.name}", hint=_AGAIN)
        return page

    def approve(self, spec: PublishSpec, now: Plan) -> Plan:
        """Give `now` with the saved decisions; raise Refused where what they rest on has changed meanwhile.

        A tag that stands where the plan puts it is no change: so a plan that was cut short can be carried out again.
        """
        asked = self.document["request"]
        if spec.source_digest != asked.get("sourceDigest"):
            raise Refused(f"the sources aren't those of the plan {self.name}", hint=_AGAIN)
        planned = self.document.get("digest")
        if self.document.get("build") is not now.build or (planned and now.index != planned):
            raise Refused(
                f"the plan {self.name} is for {planned or 'a build'}, and now it would be {now.index or 'a build'}",
                hint=_AGAIN,
            )
        saved = {there["image"]: there for there in self._destinations()}
        names = [str(name) for name in self._list(self.document, "intermediates")]
        return replace(
            now,
            destinations=tuple(
                _approve(there, saved.get(there.image.name), names, planned) for there in now.destinations
            ),
        )

    def _destinations(self) -> list[dict[str, Any]]:
        found = self._list(self.document, "destinations")
        kinds = {"image": str, "tags": list, "standing": dict}
        for there in found:
            if not isinstance(there, dict) or any(not isinstance(there.get(k), kind) for k, kind in kinds.items()):
                raise UsageError(f"{self.name} isn't a plan: 'destinations' are something else", hint=_AGAIN)
            if not all(isinstance(tag, dict) and isinstance(tag.get("tag"), str) for tag in there["tags"]):
                raise UsageError(f"{self.name} isn't a plan: 'tags' are something else", hint=_AGAIN)
        return found

    def _list(self, document: Mapping[str, Any], key: str) -> list[Any]:
        found = document.get(key)
        if not isinstance(found, list):
            raise UsageError(f"{self.name} isn't a plan: {key!r} isn't a list", hint=_AGAIN)
        return found

    def _strings(self, key: str) -> list[str]:
        return [str(item) for item in self._list(self.document["request"], key)]

    def _text(self, key: str) -> str | None:
        found = self.document["request"].get(key)
        return found if isinstance(found, str) and found else None


def _approve(
    there: Destination, saved: Mapping[str, Any] | None, names: Sequence[str], planned: str | None
) -> Destination:
    if saved is None:
        raise UsageError(f"the plan says nothing of {there.image.name}", hint=_AGAIN)
    decisions = tuple(
        TagDecision(tag["tag"], moves=tag.get("moves") is True, reason=str(tag.get("reason"))) for tag in saved["tags"]
    )
    planned_tags, tags = ([decision.tag for decision in each] for each in (decisions, there.tags))
    if planned_tags != tags:
        raise UsageError(
            f"the plan isn't as it was made: for {there.image.name} it asks for {', '.join(tags)}, and decides on "
            f"{printable(', '.join(planned_tags) or 'nothing', 200)}",
            hint=_AGAIN,
        )
    for tag in (*tags, *names):
        before, stands = saved["standing"].get(tag), there.standing.get(tag)
        if stands not in (before, planned):
            raise Refused(
                f"{there.image.name}:{tag} has moved since the plan was made: "
                f"from {before or 'nothing'} to {stands or 'nothing'}",
                hint=_AGAIN,
            )
    return replace(there, tags=decisions)


def _ref(spec: PublishSpec) -> str | None:
    """Write the release so that it is read as the same."""
    if spec.release is None:
        return None
    return f"refs/tags/{spec.release.version}" if spec.release.version else f"refs/heads/{spec.release.exact}"


def _annotations(spec: PublishSpec) -> tuple[Annotation, ...]:
    own = (Annotation("index", key, value) for key, value in spec.annotations.items())
    return (*own, *spec.levels, *(spec.build.annotations if spec.build else ()))


def _readme(spec: PublishSpec) -> dict[str, Any] | None:
    page = spec.page
    if page is None:
        return None
    return {
        "file": _relative(Path(page.readme.file).absolute()),
        "short": page.readme.short,
        "images": [place.repository.name for place in page.places],
        "digest": page.digest,
    }


def _attests(build: BuildSpec) -> list[str]:
    """Write what is attested as an option says it."""
    from regkit.build.means import join_fields

    return [join_fields((("type", kind), *fields)) for kind, fields in build.attests]


def _relative(path: Path) -> str:
    """Name a path from where we are, if it is below: another checkout has it there, too."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
