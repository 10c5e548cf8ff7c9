"""Caps: what a registry can do, found out by reading alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from regkit.errors import AccessDenied, RegkitError
from regkit.oci import mediatype
from regkit.oci.digest import Digest
from regkit.oci.manifest import MAX_SIZE, Manifest
from regkit.oci.reference import Reference
from regkit.protocol.auth import parse_challenges
from regkit.protocol.flow import Flow, Request, Response, Scope, expect, printable
from regkit.transport.session import Session

_RATE = ("ratelimit-limit", "ratelimit-remaining")
_WRITING = {
    "tag-delete": "removing a tag alone",
    "manifest-delete": "deleting by digest",
    "mount": "taking a blob over from another repository",
    "chunked-upload": "uploading in pieces",
    "referrers-write": "whether a manifest with a subject is listed by the registry itself",
}
"""What only a write would show."""
_READING = (
    "tag-paging",
    "manifest-head",
    "manifest-head-digest",
    "manifest-head-length",
    "blob-head-length",
    "blob-range",
    "referrers-api",
    "referrers-filter",
    "rate-limit",
)
"""What only a repository shows."""


class Capability(NamedTuple):
    """An answer: `yes`, `no`, `unknown`, or a word for what is there; `detail` says more, or why not."""

    name: str
    answer: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What was found out about a registry, in a fixed order."""

    host: str
    repository: str | None
    found: tuple[Capability, ...]

    def __getitem__(self, name: str) -> str:
        """Give the answer of that name."""
        return next(each.answer for each in self.found if each.name == name)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return {
            "schema": 1,
            "host": self.host,
            "repository": self.repository,
            "capabilities": {each.name: {"answer": each.answer, "detail": each.detail} for each in self.found},
        }


def caps(session: Session, host: str, reference: Reference | None = None) -> Capabilities:
    """Find out what `host` can do; with a repository that has content, also what only that shows.

    Nothing is written. Of a repository one manifest is read, or two where the first is an index: at a hub these count
    as pulls. Raise AccessDenied for nothing: what these credentials don't show is `unknown`.
    """
    probe = _Probe(session, host, reference)
    probe.ask_registry()
    if reference is None:
        for name in _READING:
            probe.note(name, "unknown", "name a repository to find out")
    else:
        probe.ask_repository()
    for name, what in _WRITING.items():
        probe.note(name, "unknown", f"{what} can't be tried without writing")
    return Capabilities(host, reference.name if reference else None, tuple(probe.found.values()))


@dataclass
class _Probe:
    """One look at a registry."""

    session: Session
    host: str
    reference: Reference | None
    found: dict[str, Capability] = field(default_factory=dict)

    def note(self, name: str, answer: str, detail: str = "") -> None:
        """Keep an answer; the first one counts."""
        self.found.setdefault(name, Capability(name, answer, printable(detail)))

    def ask_registry(self) -> None:
        """Ask `/v2/`, with the credentials and without."""
        response = self.session.run(self.host, _ping())
        parts = urlsplit(response.url)
        version = response.headers.get("docker-distribution-api-version", "")
        self.note("api", "v2", printable(version))
        self.note("tls", _word(parts.scheme == "https"))
        bare = self._without_credentials(f"{parts.scheme}://{parts.netloc}/v2/")
        schemes = {c.scheme: c.parameters for c in parse_challenges(bare.headers.get("www-authenticate", ""))}
        if bare.status == 401 and schemes:
            scheme, parameters = next(iter(schemes.items()))
            detail = " ".join(filter(None, (parameters.get("realm", ""), parameters.get("service", ""))))
            self.note("authentication", scheme if scheme in ("basic", "bearer") else printable(scheme), detail)
        elif bare.status == 401:
            self.note("authentication", "unknown", "401 without a challenge")
        else:
            self.note("authentication", "none")
        login = self.session.credentials.for_host(self.host)
        detail = f"as {login.username} from {login.origin}" if login else "no login for this host"
        self.note("access", _word(response.status == 200), detail)

    def ask_repository(self) -> None:
        """Ask for tags, a manifest, a blob of it and its referrers."""
        assert self.reference is not None
        tags = self._ask_tags()
        name = self.reference.digest or self.reference.tag or next(iter(tags), None)
        manifest = self._ask_manifest(name) if name else None
        if manifest is not None and manifest.manifests:
            child = next((c for c in manifest.manifests if c.media_type in mediatype.IMAGES), None)
            manifest = self._read(child.digest) if child else None
        self._ask_blob(manifest)
        # The specification wants an empty list for what isn't there, too.
        self._ask_referrers(manifest.digest if manifest else Digest.of(b""))
        for name in _READING:
            self.note(name, "unknown", "the repository has nothing that would show it")

    def _ask_tags(self) -> list[str]:
        response = self._send("GET", "tags/list?n=1")
        if response is None or response.status != 200:
            self.note("tag-paging", "unknown", _why(response))
            return []
        try:
            document = response.json(MAX_SIZE)
            tags = [str(tag) for tag in document["tags"] or ()]
        except (RegkitError, KeyError, TypeError):
            self.note("tag-paging", "unknown", "the list of tags isn't one")
            return []
        if len(tags) > 1:
            self.note("tag-paging", "no", f"{len(tags)} tags where one was asked for")
        elif "link" in response.headers:
            self.note("tag-paging", "yes")
        else:
            self.note("tag-paging", "unknown", f"the repository has {len(tags)} tag{'s' * (len(tags) != 1)}")
        return tags

    def _ask_manifest(self, name: str) -> Manifest | None:
        response = self._send("HEAD", f"manifests/{name}", {"Accept": mediatype.ACCEPT})
        if response is not None and response.status in (200, 405):
            there = response.status == 200
            self.note("manifest-head", _word(there))
            if there:
                self.note("manifest-head-digest", _word("docker-content-digest" in response.headers))
                self.note("manifest-head-length", _word("content-length" in response.headers))
                said = [f"{key}={response.headers[key]}" for key in _RATE if key in response.headers]
                self.note("rate-limit", _word(bool(said)), " ".join(said))
        else:
            self.note("manifest-head", "unknown", _why(response))
        return self._read(name)

    def _read(self, name: str) -> Manifest | None:
        response = self._send("GET", f"manifests/{name}", {"Accept": mediatype.ACCEPT})
        if response is None or response.status != 200:
            return None
        try:
            manifest = Manifest.parse(response.read(MAX_SIZE), response.headers.get("content-type"))
            _ = manifest.manifests, manifest.blobs
        except RegkitError:
            return None
        return manifest

    def _ask_blob(self, manifest: Manifest | None) -> None:
        """Ask for the smallest blob's length, and for its first byte."""
        blobs = [blob for blob in manifest.blobs if blob.size] if manifest else []
        if not blobs:
            return
        blob = min(blobs, key=lambda blob: blob.size)
        response = self._send("HEAD", f"blobs/{blob.digest}")
        if response is not None and response.status == 200:
            self.note("blob-head-length", _word("content-length" in response.headers))
        response = self._send("GET", f"blobs/{blob.digest}", {"Range": "bytes=0-0"}, stream=True)
        if response is None or response.status not in (200, 206):
            self.note("blob-range", "unknown", _why(response))
            return
        response.body.close()
        whole = response.status == 206 and "content-range" in response.headers
        self.note("blob-range", _word(whole), "" if whole else f"answered {response.status}")

    def _ask_referrers(self, digest: Digest) -> None:
        kind = "application/vnd.regkit.nothing"
        response = self._send("GET", f"referrers/{digest}?artifactType={kind}", {"Accept": mediatype.OCI_INDEX})
        if response is None or response.status in (401, 403) or response.status >= 500:
            self.note("referrers-api", "unknown", _why(response))
            return
        content = mediatype.essence(response.headers.get("content-type", ""))
        there = response.status == 200 and content == mediatype.OCI_INDEX
        self.note("referrers-api", _word(there), "" if there else f"{_why(response)}; the fallback tag is used")
        applied = response.headers.get("oci-filters-applied", "")
        self.note("referrers-filter", _word(there and "artifactType" in applied), applied)

    def _send(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, stream: bool = False
    ) -> Response | None:
        """Ask for something of the repository; None where these credentials get no token for it."""
        assert self.reference is not None
        scope = Scope(self.reference.repository, "pull")
        url = f"/v2/{self.reference.repository}/{path}"
        try:
            return self.session.run(self.host, _one(Request(method, url, headers or {}, scope=scope, stream=stream)))
        except AccessDenied:
            return None

    def _without_credentials(self, url: str) -> Response:
        from regkit.transport.http import Http

        http = Http(self.session.ca_file, self.session.ca_files)
        try:
            return http.send(Request("GET", url))
        finally:
            http.close()


def _word(truth: object) -> str:
    return "yes" if truth else "no"


def _why(response: Response | None) -> str:
    return f"answered {response.status}" if response is not None else "these credentials get no token for it"


def _ping() -> Flow[Response]:
    response = yield Request("GET", "/v2/")
    return expect(response, 200, 401, 403, what="speak to the registry")


def _one(request: Request) -> Flow[Response]:
    return (yield request)
