"""Vendors' registries as a whole: the strict double of the API over a registry that holds the content.

What the double lists is what is in the registry, and what it deletes goes there.
"""

from __future__ import annotations

import base64
import io
import json
import math
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from regkit.devregistry.route import Route
from regkit.devregistry.server import running
from regkit.devregistry.store import Names
from regkit.oci.annotation import CREATED
from regkit.oci.digest import Digest
from regkit.oci.manifest import assemble_index
from regkit.protocol.flow import Request, Response, drive
from regkit.protocol.manifest import put_manifest
from tests.support.command import regkit
from tests.support.place import APP, Place
from tests.support.vendors.dockerhub import Account, HubDouble
from tests.support.vendors.dockerhub import Repository as HubRepository
from tests.support.vendors.double import Answer, Call, Double, serving
from tests.support.vendors.ghcr import GitHubDouble, Version
from tests.support.vendors.gitlab import GitLabDouble
from tests.support.vendors.gitlab import Repository as GitLabRepository
from tests.support.vendors.harbor import HarborDouble
from tests.support.vendors.harbor import Repository as HarborRepository
from tests.support.vendors.quay import QuayDouble
from tests.support.vendors.quay import Repository as QuayRepository

SECRET = "c4n4ry-s3cr3t"

Stood = Mapping[str, tuple[Digest, datetime]]
"""A repository's tags: what each stands on, and since when."""


@dataclass(frozen=True)
class Kind:
    """A vendor: how its registry deletes, as whom one logs in, and what its double is told.

    `show` gives the double a repository's tags, `shown` reads them back; `allow` says what the login may: all, or
    read; `forbid` makes a tag immutable; `limited` is how it says to wait until a Unix time.
    """

    name: str
    user: str
    quirks: tuple[str, ...]
    make: Callable[[], Double]
    show: Callable[[Any, str, Stood], None]
    shown: Callable[[Any, str], Collection[str]]
    allow: Callable[[Any, bool], None]
    scope: str
    """What the error names where it may only read."""
    limited: Callable[[int], Answer]
    forbid: Callable[[Any, str], None] | None = None
    hides_untagged: bool = False

    def __str__(self) -> str:
        """Name it as a test's parameter."""
        return self.name


@dataclass
class Hub:
    """A registry with a release in it, and its vendor's API beside it.

    `dates` say since when tags stand; after the API has removed one the registry lists it for `lag` more reads.
    """

    kind: Kind
    place: Place
    api: Double
    project: Path
    dates: dict[str, datetime]
    early: list[str] = field(default_factory=list)
    """The requests that came before the time that the API had given."""
    requests: list[str] = field(default_factory=list)
    """What the registry was asked, METHOD PATH."""
    lag: int = 0
    denies: bool = False
    """Whether the registry says of a deletion that the login may not, as it does with a token that is for less."""

    def __post_init__(self) -> None:
        self._inner = self.api.handle
        self.api.handle = self._handle  # type: ignore[method-assign]
        self._listed: bytes | None = None
        self._lock = threading.Lock()
        self._until = 0.0
        self._tagged: set[Digest] = set()
        self.kind.allow(self.api, True)

    @property
    def tags(self) -> dict[str, Digest]:
        """Where each tag stands in the registry."""
        return dict(self.place.tags[APP])

    @property
    def deletions(self) -> list[str]:
        """The API's requests that would delete something."""
        return [f"{call.method} {call.path}" for call in self.api.calls if call.method == "DELETE"]

    def configure(self, api: str = "") -> None:
        """Say whose the registry is."""
        section = f'[registry."{self.place.host}"]\nvendor = "{self.kind.name}"\napi = "{api or self.api.url}"\n'
        (self.project / "regkit.toml").write_text(f"schema = 1\n{section}")

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run regkit there, with a login; no output ever shows its secret, as it is or encoded."""
        auth = base64.b64encode(f"{self.kind.user}:{SECRET}".encode()).decode()
        auths = json.dumps({"auths": {self.place.host: {"auth": auth}}})
        config = self.project / "regkit.toml"
        done = regkit("--debug", "--config", config, *command, cwd=self.project, env={"DOCKER_AUTH_CONFIG": auths})
        said = done.stdout + done.stderr
        assert SECRET not in said
        assert auth not in said
        return done

    def remove(self, *tags: str) -> subprocess.CompletedProcess[str]:
        """Run `tag rm`."""
        return self.run("tag", "rm", "--yes", *(f"{self.place.host}/{APP}:{tag}" for tag in tags))

    def fill(self, tags: Collection[str]) -> None:
        """Set more tags as of the newest date, each on an index of its own that says that it is an old one."""
        for tag in tags:
            index = assemble_index(self.place.index.manifests[:1], {CREATED: "2001-02-03T04:05:06Z", "tag": tag})
            drive(put_manifest(APP, tag, index), self.place.registry.handle)

    def drop(self, tag: str) -> None:
        """Remove a tag as somebody else would."""
        store = self.place.registry.store
        names = store.names(APP)
        assert names is not None
        store.write_names(APP, names.without_tag(tag))

    def limit(self) -> Callable[[Call], Answer]:
        """Give an answer that asks to wait longer than one would unasked, and from then on look who doesn't."""

        def refuse(call: Call) -> Answer:
            del call
            self._until = math.ceil(time.time() + 0.7)
            return self.kind.limited(int(self._until))

        return refuse

    def handle(self, request: Request) -> Response:
        """Answer as the vendor's registry does."""
        route = Route.of(request)
        with self._lock:
            self.requests.append(f"{request.method} {route.chapter} {route.name}")
            if route.chapter == "tags" and self._listed is not None and self.lag > 0:
                self.lag -= 1
                return _response(200, self._listed)
        if self.denies and request.method == "DELETE":
            return _response(403, b'{"errors": [{"code": "DENIED", "message": "no access"}]}')
        if self.kind.hides_untagged and route.chapter == "manifests" and request.method in ("GET", "HEAD", "DELETE"):
            names = self.place.registry.store.names(route.repository) if route.is_digest else None
            if names is not None and self._is_hidden(names, Digest(route.name)):
                return Response(404)
        return self.place.handle(request)

    def _is_hidden(self, names: Names, digest: Digest) -> bool:
        """Tell whether a manifest once had a tag, and no tag leads to it any more."""
        self._tagged |= set(names.tags.values())
        led_to = {child.digest for root in names.tags.values() for child in self.place.read(APP, root).manifests}
        return digest in self._tagged and digest not in led_to | set(names.tags.values())

    def _handle(self, call: Call) -> Answer:
        if time.time() < self._until:
            self.early.append(f"{call.method} {call.path}")
        store = self.place.registry.store
        before = {name: store.names(name) or Names() for name in store.repositories()}
        for name, names in before.items():
            default = max(self.dates.values())
            self.kind.show(self.api, name, {t: (d, self.dates.get(t, default)) for t, d in names.tags.items()})
        answer = self._inner(call)
        if call.method == "DELETE":
            for name, names in before.items():
                self._take(name, names, set(names.tags) - set(self.kind.shown(self.api, name)))
        return answer

    def _take(self, name: str, names: Names, gone: set[str]) -> None:
        """Remove tags in the registry, and a version where its vendor knows those."""
        if not gone:
            return
        with self._lock:
            self._listed = json.dumps({"name": name, "tags": sorted(names.tags)}).encode()
        digests = {names.tags[tag] for tag in gone}
        for tag in gone:
            names = names.without_tag(tag)
        if isinstance(self.api, GitHubDouble):
            names = names.without_manifests(*digests)
        self.place.registry.store.write_names(name, names)


@contextmanager
def hub(kind: Kind, root: Path, dates: Mapping[str, datetime]) -> Iterator[Hub]:
    """Serve a vendor's registry, filled with a release, and its API; the project's configuration names both."""
    place = Place(root / "place")
    place.fill()
    for quirk in kind.quirks:
        place.front.switch_on(quirk)
    project = root / "project"
    project.mkdir()
    with ExitStack() as stack:
        api = stack.enter_context(serving(kind.make()))
        found = Hub(kind, place, api, project, dict(dates))
        server = stack.enter_context(running(found))
        place.host = server.host
        found.configure()
        yield found


def _response(status: int, body: bytes) -> Response:
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return Response(status, headers, io.BytesIO(body))


def _hub_show(api: HubDouble, name: str, tags: Stood) -> None:
    repository = api.repositories.setdefault(name, HubRepository())
    repository.tags = {tag: (digest, at.isoformat()) for tag, (digest, at) in tags.items()}


def _gitlab_show(api: GitLabDouble, name: str, tags: Stood) -> None:
    there = api.projects.setdefault(APP, [])
    found = next((each for each in there if each.path == name), None)
    if found is None:
        found = GitLabRepository(len(there) + 1, name)
        there.append(found)
    found.tags = {tag: (digest, at.isoformat()) for tag, (digest, at) in tags.items()}


def _gitlab_forbid(api: GitLabDouble, tag: str) -> None:
    api.rules = {APP: [{"tag_name_pattern": f"^{tag}$", "immutable": True}]}


def _harbor_show(api: HarborDouble, name: str, tags: Stood) -> None:
    repository = api.repositories.setdefault(name, HarborRepository())
    repository.tags = {tag: (digest, at.isoformat()) for tag, (digest, at) in tags.items()}


def _quay_show(api: QuayDouble, name: str, tags: Stood) -> None:
    repository = api.repositories.setdefault(name, QuayRepository())
    repository.tags = {tag: (digest, int(at.timestamp())) for tag, (digest, at) in tags.items()}


def _github_show(api: GitHubDouble, name: str, tags: Stood) -> None:
    versions: dict[Digest, Version] = {}
    for tag, (digest, at) in tags.items():
        version = versions.setdefault(digest, Version(int(digest[7:15], 16), digest, [], at.isoformat()))
        version.tags.append(tag)
    api.packages[name] = list(versions.values())


def _account(api: HubDouble) -> Account:
    return api.accounts[0]


KINDS = (
    Kind(
        "dockerhub",
        "me",
        ("tag-delete-405", "children-protected"),
        lambda: HubDouble(accounts=[Account("me", SECRET, "personal")]),
        _hub_show,
        lambda api, name: api.repositories[name].tags,
        lambda api, may: setattr(_account(api), "level", "admin" if may else "write"),
        "Read, Write, Delete",
        lambda until: Answer(429, {"detail": "slow down"}, X_Retry_After=str(until)),
        lambda api, tag: api.repositories.setdefault(APP, HubRepository()).immutable.append(f"^{tag}$"),
    ),
    Kind(
        "ghcr",
        "me",
        ("deletes-off",),
        lambda: GitHubDouble(owners={APP.partition("/")[0]: "orgs"}),
        _github_show,
        lambda api, name: {tag for version in api.packages[name] for tag in version.tags},
        lambda api, may: api.tokens.update({SECRET: {"read:packages", *(["delete:packages"] if may else [])}}),
        "delete:packages",
        lambda until: Answer(403, {"message": "rate limit"}, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(until)),
    ),
    Kind(
        "gitlab",
        "me",
        ("children-protected",),
        GitLabDouble,
        _gitlab_show,
        lambda api, name: next(each.tags for each in api.projects[APP] if each.path == name),
        lambda api, may: api.tokens.update({SECRET: {"api" if may else "read_api"}}),
        "the scope api",
        lambda until: Answer(429, {"message": "slow down"}, RateLimit_Remaining="0", RateLimit_Reset=str(until)),
        _gitlab_forbid,
    ),
    Kind(
        "harbor",
        "robot$me",
        ("tag-delete-405", "children-protected"),
        HarborDouble,
        _harbor_show,
        lambda api, name: api.repositories[name].tags,
        lambda api, may: api.users.update({"robot$me": (SECRET, {"read", *(["delete"] if may else [])})}),
        "Delete Tag",
        lambda until: Answer(429, {"errors": []}, Retry_After=str(max(1, until - int(time.time())))),
        lambda api, tag: api.repositories.setdefault(APP, HarborRepository()).immutable.add(tag),
    ),
    Kind(
        "quay",
        "$oauthtoken",
        (),
        QuayDouble,
        _quay_show,
        lambda api, name: api.repositories[name].tags,
        lambda api, may: api.tokens.update({SECRET: {"repo:read", *(["repo:write"] if may else [])}}),
        "repo:write",
        lambda until: Answer(429, {"message": "slow down"}, Retry_After=str(max(1, until - int(time.time())))),
        lambda api, tag: api.repositories.setdefault(APP, QuayRepository()).immutable.add(tag),
        hides_untagged=True,
    ),
)
