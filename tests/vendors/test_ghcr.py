"""GitHub's registry: versions are deleted, never what a tag stands on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regkit.errors import AccessDenied, Refused
from regkit.oci.digest import Digest
from regkit.protocol.auth import Login
from regkit.vendors.vendor import Description
from tests.support.vendors.double import serving
from tests.support.vendors.ghcr import GitHubDouble, Version
from tests.vendors.support import CANARY, opened

NAME = "ghcr.io/acme/app"
KEPT, STAND_IN = Digest.of(b"kept"), Digest.of(b"stand-in")


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    versions = [Version(1, str(KEPT), ["1.0", "latest"]), Version(2, str(STAND_IN), ["dev"])]
    tokens = {CANARY: {"read:packages", "delete:packages"}, "reader": {"read:packages"}}
    double = GitHubDouble(tokens=tokens, owners={"acme": "orgs"}, packages={"acme/app": versions})
    with serving(double):
        yield double


def delete(github: GitHubDouble, tag: str, digest: Digest, token: str = CANARY) -> list[str]:
    """Delete a version; give the tags that are left."""
    with opened(github, NAME, Login("me", token)) as (api, _):
        api.run(api.vendor.delete_version(api.repository, tag, digest))
    return [tag for version in github.packages["acme/app"] for tag in version.tags]


def test_a_stand_in_goes_with_its_only_tag(github: GitHubDouble) -> None:
    """A second time there is nothing to do."""
    assert delete(github, "dev", STAND_IN) == ["1.0", "latest"]
    assert delete(github, "dev", STAND_IN) == ["1.0", "latest"]


@pytest.mark.parametrize(("tag", "digest"), [("1.0", KEPT), ("1.0", STAND_IN)])
def test_a_version_with_other_tags_stays(github: GitHubDouble, tag: str, digest: Digest) -> None:
    """Deleting it would take tags that nobody named."""
    with pytest.raises(Refused, match="stays: its tags are"):
        delete(github, tag, digest)
    assert not [line for line in github.sent() if line.startswith("DELETE")]


def test_what_a_tag_stands_on_is_never_deleted(github: GitHubDouble) -> None:
    """There is no deletion of a tag, and no request for one."""
    with opened(github, NAME, Login("me", CANARY)) as (api, _), pytest.raises(Refused, match="what the tag stands on"):
        api.run(api.vendor.delete_tag(api.repository, "dev"))
    assert github.calls == []


def test_the_last_tagged_version(github: GitHubDouble) -> None:
    """GitHub's own refusal, with its words."""
    del github.packages["acme/app"][0]
    with pytest.raises(Refused, match=r"keeps dev of acme/app: You cannot delete the last tagged"):
        delete(github, "dev", STAND_IN)


def test_more_downloads_than_may_be(github: GitHubDouble) -> None:
    github.packages["acme/app"][1].downloads = 5001
    with pytest.raises(Refused, match="5000 downloads"):
        delete(github, "dev", STAND_IN)


def test_a_token_that_may_not_delete(github: GitHubDouble) -> None:
    with pytest.raises(AccessDenied) as caught:
        delete(github, "dev", STAND_IN, "reader")
    assert "delete:packages" in str(caught.value.hint)


def test_a_package_that_is_not_there(github: GitHubDouble) -> None:
    """Users are asked for what organisations don't have; then there is nothing to delete."""
    del github.packages["acme/app"]
    with opened(github, NAME, Login("me", CANARY)) as (api, _):
        api.run(api.vendor.delete_version(api.repository, "dev", STAND_IN))
    assert [line.split("/")[1] for line in github.sent()] == ["orgs", "users"]


def test_no_page(github: GitHubDouble) -> None:
    """It takes no README, and the error names the way that there is."""
    with opened(github, NAME, Login("me", CANARY)) as (api, _):
        for ask in (api.vendor.read_description, lambda name: api.vendor.write_description(name, Description("x"))):
            with pytest.raises(Refused) as caught:
                api.run(ask(api.repository))
    assert "index:org.opencontainers.image.description" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("login", "works"),
    [
        (Login("me", "", "x", registry_token=CANARY), True),
        (Login("me", "", "x", identity_token=CANARY), False),
    ],
)
def test_which_logins_can_be_used(github: GitHubDouble, login: Login, works: bool) -> None:
    if works:
        with opened(github, NAME, login) as (api, _):
            assert len(api.run(api.vendor.list_tags(api.repository))) == 3
    else:
        with pytest.raises(AccessDenied, match="has no token"), opened(github, NAME, login):
            pass
