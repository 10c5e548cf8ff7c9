"""Command lines for every verb that asks a registry, each with what it needs and what is right after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from regkit.devregistry.quirks.quirk import Ability
from regkit.oci.digest import Digest
from regkit.oci.manifest import Manifest
from regkit.protocol.referrers import fallback_tag
from regkit.targets.layout import Layout
from tests.support.place import APP, COPY, PLATFORMS, RELEASE, Place, Tags, document

Check = Callable[[Place, str], object]
"""Tells what is wrong with a command's output and what it left; nothing where all is right."""

After = Callable[[Place, Tags, str], Tags]
"""Tells where the tags must stand, from where they stood and what the command printed."""

COMMIT = "8f3c2b1a9d7e6f5c4b3a29181716151413121110"
VERSION = ("1", "1.2", "1.2.3", "latest")
WRITE, MOVE, UNTAG, DELETE, IMAGE = (
    Ability.write,
    Ability.move_tag,
    Ability.untag,
    Ability.delete,
    Ability.serve_image,
)

ONE, STAND_IN = frozenset({UNTAG}), frozenset({WRITE, MOVE, DELETE})
"""What it takes to remove a tag: that alone, or to move it to what is then deleted."""


def unchanged(_: Place, tags: Tags, __: str) -> Tags:
    """Every tag stands where it stood."""
    return tags


def nothing(_: Place, __: str) -> bool:
    """Whatever it printed."""
    return True


@dataclass(frozen=True)
class Verb:
    """A command line; in `arguments`, `{…}` are the names of `words`."""

    name: str
    arguments: str
    needs: frozenset[Ability] = frozenset()
    after: After = unchanged
    right: Check = nothing
    last: frozenset[Ability] = frozenset()
    """What it does at its end: where that is refused, the exit code is 8, and `left` is what stands then."""
    left: After = unchanged
    detour: frozenset[Ability] | None = None
    """What another way needs, for a registry that refuses what the straight one does; None where there is none."""
    refused: Mapping[Ability, After] = field(default_factory=dict)
    """What stands where what it needs is refused, unless that is all as it was."""

    def is_refused(self, refused: frozenset[Ability]) -> bool:
        """Tell whether a registry that refuses this leaves no way."""
        return bool(self.needs & refused) and (self.detour is None or bool(self.detour & refused))

    def __str__(self) -> str:
        return f"{self.name} {self.arguments}"

    def command(self, place: Place) -> list[str]:
        """Give the command line."""
        return [*self.name.split(), *(part.format(**words(place)) for part in self.arguments.split())]


def words(place: Place) -> dict[str, str]:
    """Give what stands in the arguments."""
    app = f"{place.host}/{APP}"
    config = place.image.config
    assert config is not None
    (place.root / "file").write_bytes(place.loose.raw)
    return {
        "host": place.host,
        "app": app,
        "copy": f"{place.host}/{COPY}",
        "index": place.index.digest,
        "image": place.image.digest,
        "second": place.index.manifests[1].digest,
        "loose": place.loose.digest,
        "signature": place.signature.digest,
        "config": config.digest,
        "old": str(place.root / "old"),
        "new": str(place.root / "new"),
        "out": str(place.root / "out"),
        "file": str(place.root / "file"),
    }


def on(repository: str, *tags: str, manifest: Callable[[Place], Manifest]) -> After:
    """Tags stand on a manifest, and no others have moved."""
    return lambda place, before, _: {
        **before,
        repository: {**before.get(repository, {}), **dict.fromkeys(tags, manifest(place).digest)},
    }


def without(*tags: str) -> After:
    """Tags are gone, and no others."""
    return lambda _, before, __: {**before, APP: {tag: d for tag, d in before[APP].items() if tag not in tags}}


def printed(*tags: str) -> After:
    """Tags stand on what was printed, and no others have moved."""
    return lambda _, before, out: {**before, APP: {**before[APP], **dict.fromkeys(tags, _digest(out))}}


def children(*numbers: int) -> Check:
    """Look whether what was printed is an index over these images of the release."""
    return lambda place, out: (
        [child.digest for child in place.read(APP, _digest(out)).manifests]
        == [place.index.manifests[number].digest for number in numbers]
    )


def published(repository: str, *tags: str) -> After:
    """Tags stand on one index over the new release's images, and no others have moved."""

    def after(place: Place, before: Tags, _: str) -> Tags:
        digest = place.tags[repository][tags[0]]
        assert [each.digest for each in place.read(repository, digest).manifests] == _digests(place.new)
        return {**before, repository: {**before.get(repository, {}), **dict.fromkeys(tags, digest)}}

    return after


def with_platform_tags(place: Place, before: Tags, out: str) -> Tags:
    """Tell: the release is tagged, and each of its images still has a tag of its own."""
    named = {f"{COMMIT[:7]}-{_tag_of(place, number)}": c.digest for number, c in enumerate(place.new.manifests)}
    done = published(COPY, *VERSION)(place, before, out)
    return {**done, COPY: {**done[COPY], **named}}


def _digests(index: Manifest) -> list[Digest]:
    return [child.digest for child in index.manifests]


def _tag_of(place: Place, number: int) -> str:
    platform = place.new.manifests[number].platform
    assert platform is not None
    return str(platform).replace("/", "-")


def _digest(out: str) -> Digest:
    return Digest(out.strip().rpartition("@")[2])


def _named(place: Place, tag: str) -> str:
    return f"{place.host}/{APP}@{place.tags[APP][tag]}\n"


def _lines(tags: object) -> str:
    assert isinstance(tags, list | tuple)
    return "".join(f"{tag}\n" for tag in tags)


def _copied(place: Place, _: str) -> bool:
    return Layout(place.root / "out").manifest("built").raw == place.index.raw


def _and_signature(place: Place, before: Tags, _: str) -> Tags:
    """Tell: the release is copied with what refers to it, listed at the fallback tag where there is no API."""
    copied = place.tags.get(COPY, {})
    tag = fallback_tag(place.index.digest)
    listed = {tag: copied[tag]} if tag in copied else {}
    return {**before, COPY: {"1": place.index.digest, **listed}}


VERBS = (
    Verb("inspect", "{app}:1.2.3 --format raw", right=lambda p, out: out == p.index.raw.decode()),
    Verb("inspect", "{app}:single --format raw", right=lambda p, out: out == p.served("single").decode()),
    Verb("inspect", "{app}:1.2.3", right=lambda p, out: all(c.digest in out for c in p.index.manifests)),
    Verb("inspect", "{app}:single", frozenset({IMAGE}), right=lambda p, out: p.single.digest in out),
    Verb("inspect", "{app}@{image} --config", right=lambda p, out: out == p.config.decode()),
    Verb("resolve", "{app}:1.2.3 {app}:part", right=lambda p, out: out == _named(p, "1.2.3") + _named(p, "part")),
    Verb("resolve", "{app}:single", right=lambda p, out: _digest(out) == Digest.of(p.served("single"))),
    Verb("manifest get", "{app}:1.2", right=lambda p, out: out == p.index.raw.decode()),
    Verb("manifest head", "{app}:1.2", right=lambda p, out: document(out)["digest"] == p.index.digest),
    Verb("manifest put", "{app}:new {file}", frozenset({WRITE}), on(APP, "new", manifest=lambda p: p.loose)),
    Verb("manifest put", "{app}:1.2 {file}", frozenset({WRITE, MOVE}), on(APP, "1.2", manifest=lambda p: p.loose)),
    Verb("manifest rm", "{app}@{loose} --yes", frozenset({DELETE}), right=lambda p, _: not p.has(p.loose.digest)),
    Verb(
        "manifest rm",
        "{app}@{index} --yes",
        frozenset({DELETE, Ability.delete_tagged}),
        without(*RELEASE),
        lambda p, _: not p.has(p.index.digest),
    ),
    Verb("blob get", "{app}@{config}", right=lambda p, out: out == p.config.decode()),
    Verb("blob head", "{app}@{config}", right=lambda p, out: document(out)["size"] == len(p.config)),
    Verb("blob put", "{app} {file}", frozenset({WRITE}), right=lambda p, _: p.has(p.loose.digest)),
    Verb("tag ls", "{app}", right=lambda p, out: sorted(out.split()) == sorted(p.tags[APP])),
    Verb("tag ls", "{app} --digest {index}", right=lambda _, out: out == _lines(RELEASE)),
    Verb("tag explain", "{app}", right=lambda _, out: all(tag in out for tag in RELEASE)),
    Verb("tag set", "{app}:1.2.3 a b", frozenset({WRITE}), on(APP, "a", "b", manifest=lambda p: p.index)),
    Verb("tag set", "{app}:1.2.3 a b c d", frozenset({WRITE}), on(APP, *"abcd", manifest=lambda p: p.index)),
    Verb("tag set", "{app}@{loose} 1.2", frozenset({WRITE, MOVE}), on(APP, "1.2", manifest=lambda p: p.loose)),
    Verb("tag rm", "{app}:1.2 --yes", ONE, without("1.2"), lambda p, _: p.has(p.index.digest), detour=STAND_IN),
    Verb("tag rm", "{app}:part --yes", ONE, without("part"), lambda p, _: p.has(p.part.digest), detour=STAND_IN),
    Verb("tag rm", "{app}:single --yes", ONE, without("single"), lambda p, _: p.has(p.single.digest), detour=STAND_IN),
    # The tag of an image that an index lists may be what protects it: there is no other way to remove that.
    Verb("tag rm", "{app}:arm --yes", ONE, without("arm")),
    Verb("cleanup plan", "{app} --match part|single --keep 0", right=lambda _, out: "part" in out and "single" in out),
    Verb(
        "cleanup apply",
        "{app} --match part --keep 0 --yes",
        ONE,
        without("part"),
        lambda p, _: p.has(p.part.digest),
        detour=STAND_IN,
    ),
    Verb("copy", "{app}:1.2.3 {copy}:1", frozenset({WRITE}), on(COPY, "1", manifest=lambda p: p.index)),
    Verb("copy", "{app}:single {copy}:1", frozenset({WRITE, IMAGE}), on(COPY, "1", manifest=lambda p: p.single)),
    Verb(
        "copy",
        "{app}:1.2.3 {copy}:1 --referrers",
        frozenset({WRITE}),
        _and_signature,
        lambda p, _: p.has(p.signature.digest, COPY),
    ),
    Verb("copy", "oci:{new}:built {copy}:1", frozenset({WRITE}), on(COPY, "1", manifest=lambda p: p.new)),
    Verb("copy", "oci:{new}:built {app}:latest", frozenset({WRITE, MOVE}), on(APP, "latest", manifest=lambda p: p.new)),
    Verb("copy", "{app}:1.2.3 oci:{out}:built", right=_copied),
    Verb(
        "copy",
        "{app} {copy} --all-tags",
        frozenset({WRITE, IMAGE}),
        lambda _, before, __: {**before, COPY: before[APP]},
    ),
    Verb(
        "publish",
        f"--from {{new}} --image {{copy}} --version v1.2.3 --commit {COMMIT}",
        frozenset({WRITE}),
        published(COPY, *VERSION),
    ),
    Verb(
        "publish",
        f"--from {{new}} --image {{app}} --version v1.2.4 --commit {COMMIT}",
        frozenset({WRITE, MOVE}),
        published(APP, "1", "1.2", "1.2.4", "latest"),
        refused={WRITE: unchanged, UNTAG: published(APP, "1")},  # which is new, and so to be removed again
    ),
    Verb(
        "publish",
        f"--from {{new}} --image {{copy}} --version v1.2.3 --commit {COMMIT} --intermediate tag",
        frozenset({WRITE}),
        published(COPY, *VERSION),
        last=frozenset({UNTAG}),
        left=with_platform_tags,
    ),
    Verb(
        "merge",
        f"oci:{{new}}:built --image {{copy}} --version v1.2.3 --expect-platforms {','.join(PLATFORMS)}",
        frozenset({WRITE}),
        published(COPY, *VERSION),
    ),
    Verb(
        "plan",
        f"--from {{new}} --image {{app}} --version v1.2.4 --commit {COMMIT}",
        right=lambda _, out: all(tag in out for tag in ("1.2.4", "latest")),
    ),
    Verb("index create", "{app}:all {app}:1.2.3", frozenset({WRITE}), printed("all"), children(0, 1)),
    Verb(
        "index append",
        "{app}:part {app}@{second},platform=linux/arm64",
        frozenset({WRITE, MOVE}),
        printed("part"),
        children(0, 1),
    ),
    Verb("index remove", "{app}:1.2 --platform linux/arm64", frozenset({WRITE, MOVE}), printed("1.2"), children(0)),
    Verb("index annotate", "{app}:1.2 --annotation k=v", frozenset({WRITE, MOVE}), printed("1.2"), children(0, 1)),
    Verb("verify", f"{{app}}:1.2.3 --blobs --platforms {','.join(PLATFORMS)}"),
    Verb("verify", "{app}:single", frozenset({IMAGE})),
    Verb("diff", "{app}:1.2.3 oci:{old}:built --detailed-exitcode"),
    Verb("referrers", "{app}:1.2.3 --format json", right=lambda p, out: p.signature.digest in out),
    Verb("caps", "{app} --format json", right=lambda p, out: p.host in out),
    Verb("login", "{host} -u me --password-stdin"),
    Verb("whoami", "{host}"),
    Verb("logout", "{host}"),
)
"""All of them."""
