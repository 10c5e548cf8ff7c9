"""References against the grammar of github.com/distribution/reference, written down here once more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.errors import UsageError
from regkit.oci.digest import Digest
from regkit.oci.reference import Reference, check_tag, is_loopback, parse_place

ALNUM = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=6)
SEPARATOR = st.one_of(st.sampled_from([".", "_", "__"]), st.integers(1, 3).map(lambda n: "-" * n))


@st.composite
def path_components(draw: st.DrawFn) -> str:
    """path-component := alpha-numeric [separator alpha-numeric]*."""
    rest = draw(st.lists(st.tuples(SEPARATOR, ALNUM).map("".join), max_size=3))
    return draw(ALNUM) + "".join(rest)


LABELS = st.from_regex(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,6}[a-zA-Z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
IPV6 = st.ip_addresses(v=6).map(lambda address: f"[{address}]")
PORTS = st.one_of(st.just(""), st.integers(0, 65535).map(lambda port: f":{port}"))
HOSTS = st.tuples(st.one_of(NAMES, IPV6, st.just("localhost")), PORTS).map("".join)
PATHS = st.lists(path_components(), min_size=1, max_size=4).map("/".join)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
DIGESTS = st.binary(max_size=8).map(Digest.of)


@given(HOSTS, PATHS, st.none() | TAGS, st.none() | DIGESTS)
def test_every_full_reference_of_the_grammar_is_read_and_written_back(
    host: str, path: str, tag: str | None, digest: Digest | None
) -> None:
    """Host with or without port, IPv6 included, path, tag and digest come out as they went in."""
    text = f"{host}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

    reference = Reference.parse(text)

    assert str(reference) == text
    assert Reference(host, path, tag, digest) == reference
    assert reference.identifier == (digest or tag or "latest")
    assert f"{host}/{path}" == reference.name


HUB_PATHS = PATHS.filter(lambda path: "." not in path.partition("/")[0] and not path.startswith("localhost/"))


@given(HUB_PATHS, st.none() | TAGS)
def test_a_name_without_a_host_is_one_of_docker_hub(path: str, tag: str | None) -> None:
    """Docker's normal form: no host means Docker Hub, and a single word is one of its official images."""
    reference = Reference.parse(path + (f":{tag}" if tag else ""))

    assert reference == Reference("docker.io", path if "/" in path else f"library/{path}", tag)
    assert Reference.parse(str(reference)) == reference


@given(st.text())
def test_arbitrary_text_is_a_reference_or_bad_usage(text: str) -> None:
    """Nothing but a UsageError comes out of text that isn't a reference, and what is one survives a round trip."""
    try:
        reference = Reference.parse(text)
    except UsageError:
        return

    assert Reference.parse(str(reference)) == reference


@given(st.text("abAB01._-:/@[]", max_size=30))
def test_text_of_a_references_own_characters(text: str) -> None:
    """The same for text that is nearly one."""
    try:
        reference = Reference.parse(text)
    except UsageError:
        return

    assert Reference.parse(str(reference)) == reference
    assert reference.repository == reference.repository.lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ubuntu", "docker.io/library/ubuntu"),
        ("ubuntu:22.04", "docker.io/library/ubuntu:22.04"),
        ("owner/name", "docker.io/owner/name"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu"),
        ("index.docker.io/library/ubuntu:1", "docker.io/library/ubuntu:1"),
        ("registry-1.docker.io/owner/name", "docker.io/owner/name"),
        ("Docker.io/owner/name", "docker.io/owner/name"),
        ("localhost/name", "localhost/name"),
        ("localhost:5000/name:1", "localhost:5000/name:1"),
        ("host:5000/name", "host:5000/name"),
        ("HOST/name", "HOST/name"),
        ("[::1]:5000/a/b", "[::1]:5000/a/b"),
        ("a.b/c", "a.b/c"),
        ("ghcr.io/a__b/c--d", "ghcr.io/a__b/c--d"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    """What Docker users write is understood as Docker understands it."""
    assert str(Reference.parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "@",
        ":tag",
        "UPPER",
        "ghcr.io/Owner/name",
        "ghcr.io/",
        "ghcr.io//name",
        "ghcr.io/a/",
        "ghcr.io/../name",
        "ghcr.io/a b",
        "ghcr.io/a:",
        "ghcr.io/a:-1",
        "ghcr.io/a:" + "t" * 129,
        "ghcr.io/a@",
        "ghcr.io/a@sha256:1234",
        "ghcr.io/a@sha256:" + "A" * 64,
        "ghcr.io:port/a",
        "ghcr.io:123456/a",
        "ghcr.io:65536/a",
        "-host.example/a",
        "[::1/a",
        "[::g]/a",
        "user@host/a",
        "ghcr.io/" + "a" * 256,
        "ghcr.io/a\n",
        "ghcr.io/a:1\n",
        "a" * 32 + "/" + "\u00e9",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    """Each of these is refused with a sentence, before a registry is asked anything."""
    with pytest.raises(UsageError, match="not a"):
        Reference.parse(text)


def test_a_url_is_told_from_a_reference() -> None:
    """Who pastes a URL is told so."""
    with pytest.raises(UsageError, match="is a URL") as caught:
        Reference.parse("https://ghcr.io/owner/name")

    assert caught.value.hint is not None
    assert "registry/repository" in caught.value.hint


def test_capitals_are_named_as_the_mistake() -> None:
    """The most frequent mistake is named: repository names are lower case."""
    with pytest.raises(UsageError, match="names are lower case"):
        Reference.parse("ghcr.io/Owner/name")


def test_the_digest_wins_over_the_tag() -> None:
    """A registry is asked for the digest where both are given."""
    digest = Digest.of(b"")

    assert Reference.parse(f"ghcr.io/a:1@{digest}").identifier == digest


@pytest.mark.parametrize("text", ["ghcr.io/a:1", f"ghcr.io/a@{Digest.of(b'')}"])
def test_a_repositorys_name_has_neither_tag_nor_digest(text: str) -> None:
    """Where a repository is meant, more than that is refused, and the hint gives what to write."""
    with pytest.raises(UsageError, match="more than a repository") as caught:
        Reference.parse_name(text)

    assert caught.value.hint == "write ghcr.io/a"


def test_a_repositorys_name_alone() -> None:
    """A bare repository is taken."""
    assert Reference("ghcr.io", "a") == Reference.parse_name("ghcr.io/a")


@given(TAGS)
def test_every_tag_of_the_grammar(tag: str) -> None:
    """A tag comes back as it is."""
    assert check_tag(tag) == tag


@pytest.mark.parametrize("text", ["", ".a", "-a", "a" * 129, "a/b", "a:b", "a\n", "\u00e4", "a b", "a+b"])
def test_what_is_no_tag(text: str) -> None:
    """Everything else is refused."""
    with pytest.raises(UsageError, match="not a tag"):
        check_tag(text)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:5000", "127.0.0.1", "127.0.0.1:5000", "127.1.2.3", "[::1]", "[::1]:5000", "LOCALHOST"],
)
def test_this_machine(host: str) -> None:
    """These names are this machine, whatever the network says."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "registry.test",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "127.evil.test",
        "128.0.0.1",
        "10.0.0.1",
        "[::2]",
        "0.0.0.0",
        "127.1",
    ],
)
def test_other_machines(host: str) -> None:
    """A name that only looks like this machine's is another host, and needs TLS."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        ("ghcr.io", "ghcr.io", None),
        ("docker.io", "docker.io", None),
        ("registry-1.docker.io", "docker.io", None),
        ("localhost", "localhost", None),
        ("box:5000", "box:5000", None),
        ("[::1]:5000", "[::1]:5000", None),
        ("alpine", "docker.io", "docker.io/library/alpine"),
        ("alpine:3.20", "docker.io", "docker.io/library/alpine:3.20"),
        ("ghcr.io/a/b", "ghcr.io", "ghcr.io/a/b"),
        ("https://ghcr.io", "ghcr.io", None),
        ("http://box:5000/v2/", "box:5000", None),
        ("https://index.docker.io/v1/", "docker.io", None),
        ("ghcr.io/", "ghcr.io", None),
    ],
)
def test_a_host_or_a_repository(text: str, host: str, name: str | None) -> None:
    """A word with a dot or a port, or `localhost`, is a host; any other is an image of Docker Hub."""
    parsed = parse_place(text)

    assert (parsed[0], str(parsed[1]) if parsed[1] else None) == (host, name)


@pytest.mark.parametrize("text", ["", "A/B", "a b.c", "https://", "https://ghcr.io/a/b", "reg.test:99999"])
def test_neither_host_nor_repository(text: str) -> None:
    """It's said."""
    with pytest.raises(UsageError):
        parse_place(text)
