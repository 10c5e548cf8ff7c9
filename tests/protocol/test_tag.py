from __future__ import annotations

from itertools import chain, count

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.errors import AccessDenied, NotFound, ProtocolError, Unavailable
from regkit.protocol.flow import Request, Response, drive
from regkit.protocol.page import MAX_PAGES
from regkit.protocol.tag import delete_tag, has_no_tags, list_tags
from tests.protocol.support import ORIGIN, Script, Wire, errors, finish, image, path, reply

LIST = f"{ORIGIN}/v2/a/tags/list"


def page(*tags: str, link: str = "", url: str = LIST) -> Response:
    return reply(200, {"name": "a", "tags": tags}, url, **({"link": link} if link else {}))


def small_pages(request: Request, registry: DevRegistry) -> Response | None:
    """Let a registry give fewer tags a page than it is asked for."""
    return registry.handle(Request(request.method, request.url.replace("n=1000", "n=2")))


def test_all_tags_come_over_all_pages() -> None:
    """Tags are complete however small the registry's pages are: `Link` is followed to the end."""
    tags = [f"1.{number}.0" for number in range(9)]
    wire = Wire(intercept=small_pages)
    image(wire.registry, "a", *tags)

    assert drive(list_tags("a"), wire) == tuple(tags)
    assert len(wire.seen) == 5


def test_a_repository_that_does_not_exist_has_no_tags() -> None:
    """The first publish to a repository finds nothing, and nothing fails."""
    assert drive(list_tags("nobody/here"), DevRegistry().handle) == ()


def test_a_repository_without_tags() -> None:
    """`tags` may be null, as registries write it."""
    assert finish(list_tags("a"), reply(200, {"name": "a", "tags": None})) == ()
    assert finish(list_tags("a"), reply(200, {"name": "a"})) == ()


def test_whether_there_are_tags_takes_one_short_page() -> None:
    """A repository that isn't there has none, one with many says so with one tag."""
    wire = Wire()
    image(wire.registry, "a", *map(str, range(9)))

    assert drive(has_no_tags("nobody/here"), wire) is True
    assert drive(has_no_tags("a"), wire) is False
    assert [request.url for request in wire.seen] == [f"/v2/{name}/tags/list?n=1" for name in ("nobody/here", "a")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(page(), True, id="an empty list"),
        pytest.param(reply(200, {"name": "a", "tags": None}), True, id="null"),
        pytest.param(reply(200, {"name": "a"}), True, id="no list"),
        pytest.param(page("1"), False, id="a tag"),
        pytest.param(page(link="</v2/a/tags/list?last=b>; rel=next"), False, id="an empty page of several"),
        pytest.param(reply(200, {"tags": "1"}), False, id="a list that is none"),
        pytest.param(reply(200, []), False, id="a document that is none"),
        pytest.param(reply(403, {}), False, id="nobody may list them"),
        pytest.param(reply(405, {}), False, id="nobody can"),
    ],
)
def test_what_stays_open_counts_as_tags(answer: Response, expected: bool) -> None:
    """Only a registry that says so has none."""
    assert finish(has_no_tags("a"), answer) is expected


def test_the_order_is_the_registrys_and_each_tag_stands_once() -> None:
    """Pages that overlap, as when tags are written meanwhile, give each tag once."""
    answers = page("b", "a", link="</v2/a/tags/list?last=a>; rel=next"), page("a", "c")

    assert finish(list_tags("a"), *answers) == ("b", "a", "c")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('</v2/a/tags/list?last=b&n=2>; rel="next"', f"{LIST}?last=b&n=2"),
        ("<list?last=b>; rel=next", f"{LIST}?last=b"),
        ("<?last=b>;rel=next", f"{LIST}?last=b"),
        (f'<{LIST}?last=b>; title="x"; rel="next"', f"{LIST}?last=b"),
        (f'<{LIST}?x=a,b>; rel="prev", <{LIST}?last=b>; REL="Next"', f"{LIST}?last=b"),
        ('<list?last=b>; rel="next"; title="x"', f"{LIST}?last=b"),
    ],
)
def test_links_as_registries_write_them(link: str, expected: str) -> None:
    """Absolute or relative, with other parameters and other links beside it: the next page is found."""
    script = Script([page("a", link=link), page("b")])

    assert drive(list_tags("a"), script) == ("a", "b")
    assert script.urls[1] == expected


@pytest.mark.parametrize("link", ['<list>; rel="prev"', "nonsense", "<list>", '<list>; rel="nextish"'])
def test_a_link_to_something_else_ends_the_list(link: str) -> None:
    """Only a link to the next page is one."""
    assert finish(list_tags("a"), page("a", link=link)) == ("a",)


@pytest.mark.parametrize(
    "target", ["https://evil.test/v2/a/tags/list", "http://registry.test/v2/a/tags/list", "//registry.test:444/x"]
)
def test_a_link_to_another_origin_is_not_followed(target: str) -> None:
    """Another host, port or scheme would get our credentials: it's refused before it is asked."""
    script = Script([page("a", link=f'<{target}>; rel="next"')])

    with pytest.raises(ProtocolError, match=r"leads away from registry\.test"):
        drive(list_tags("a"), script)
    assert len(script.seen) == 1


def test_pages_in_a_circle_are_an_error() -> None:
    """A page that comes again ends it: the list can't be complete, and going on would never end."""
    answers = (page("a", link="<list?x=1>; rel=next"), page("b", link="<list?x=1>; rel=next"))

    with pytest.raises(ProtocolError, match="never end"):
        finish(list_tags("a"), *answers)


def test_pages_without_end_are_an_error() -> None:
    """A registry that always has one page more is left after ten thousand."""
    script = Script(page(f"t{n}", link=f"<list?x={n}>; rel=next") for n in count())

    with pytest.raises(ProtocolError, match="never end"):
        drive(list_tags("a"), script)
    assert len(script.seen) == MAX_PAGES + 1


@pytest.mark.parametrize("body", [{"tags": "all"}, {"tags": {"a": 1}}])
def test_tags_that_are_no_list(body: object) -> None:
    """What isn't a list of tags is refused, not read as one."""
    with pytest.raises(ProtocolError, match="isn't a list"):
        finish(list_tags("a"), reply(200, body))


def test_an_answer_of_another_shape() -> None:
    """A document that isn't an object has no tags; one that isn't JSON is an error."""
    assert finish(list_tags("a"), reply(200, [])) == ()
    with pytest.raises(ProtocolError, match="isn't valid JSON"):
        finish(list_tags("a"), reply(200, b"<html>"))


@pytest.mark.parametrize(("status", "kind"), [(401, AccessDenied), (503, Unavailable)])
def test_a_failure_to_list(status: int, kind: type[Exception]) -> None:
    """What keeps us from the list is an error, not an empty list."""
    with pytest.raises(kind, match="can't list the tags of a"):
        finish(list_tags("a"), reply(status))


def test_a_page_that_is_missing_is_an_error() -> None:
    """A 404 in the middle doesn't make the first page the whole list: an alias would move for lack of the rest."""
    with pytest.raises(NotFound, match="can't list the tags of a"):
        finish(list_tags("a"), page("a", link="<list?x=1>; rel=next"), reply(404))


def test_the_list_may_ask_to_push_too() -> None:
    """Before a build, the list is asked for with the rights that the push needs."""
    script = Script([page()])

    drive(list_tags("a", "pull,push"), script)

    assert str(script.seen[0].scope) == "repository:a:pull,push"


def test_a_tag_is_removed_alone() -> None:
    """The tag is gone, its manifest and the other tag on it stay."""
    wire = Wire()
    manifest = image(wire.registry, "a", "1", "latest")

    assert drive(delete_tag("a", "latest"), wire)

    assert drive(list_tags("a"), wire) == ("1",)
    assert wire.registry.handle(Request("HEAD", f"/v2/a/manifests/{manifest.digest}")).status == 200
    assert path(wire.seen[0]) == "/v2/a/manifests/latest"


def test_a_tag_that_is_gone_is_removed() -> None:
    """Removing twice is no failure."""
    assert drive(delete_tag("a", "latest"), DevRegistry().handle)


@pytest.mark.parametrize("status", [200, 202, 204, 404])
def test_a_registry_that_can(status: int) -> None:
    """Each of these answers means that the tag isn't there any more."""
    assert finish(delete_tag("a", "1"), reply(status)) is True


@pytest.mark.parametrize("status", [400, 405, 415, 501])
def test_a_registry_that_cannot(status: int) -> None:
    """Cannot is an answer, not an error: the verb decides."""
    assert finish(delete_tag("a", "1"), reply(status)) is False


@pytest.mark.parametrize("status", [403, 412])
def test_an_immutable_tag(status: int) -> None:
    """One that the registry keeps on purpose is one that it can't remove, whoever asks."""
    assert finish(delete_tag("a", "1"), reply(status, errors(("DENIED", "the tag is immutable")))) is False


def test_a_registry_that_refuses() -> None:
    """Missing rights are an error of their own; so is a registry that fails."""
    for status, kind in ((403, AccessDenied), (500, Unavailable)):
        with pytest.raises(kind, match="can't remove the tag 1 of a"):
            finish(delete_tag("a", "1"), reply(status))


def test_only_the_name_of_the_tag_is_ever_deleted() -> None:
    """No digest is deleted to be rid of a tag: that would take the other tags along."""
    script = Script(chain([reply(405)]))

    drive(delete_tag("a/b", "1.2"), script)

    assert [(request.method, request.url) for request in script.seen] == [("DELETE", "/v2/a/b/manifests/1.2")]
