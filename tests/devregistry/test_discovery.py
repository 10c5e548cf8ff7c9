from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest

from regkit.devregistry.app import DevRegistry
from regkit.oci.manifest import MAX_SIZE, Manifest

from .support import ask, code, push_image

KIND = "application/vnd.example"


def pages(registry: DevRegistry, url: str) -> list[list[dict[str, Any]]]:
    """Follow a list of referrers from page to page, each no larger than a client reads."""
    found = []
    while url:
        response = ask(registry, "GET", url)
        found.append(response.json(MAX_SIZE)["manifests"])
        link = re.fullmatch(r"<(/v2/[^>]*)>; rel=\"next\"", response.headers.get("link", ""))
        url = link[1] if link else ""
    return found


def referrer(registry: DevRegistry, subject: Manifest, content: str, **more: Any) -> str:
    return push_image(registry, "a", None, content, subject=subject.descriptor.to_json(), **more).digest


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("kind", [None, f"{KIND}+1"])
def test_referrers_in_pages(registry: DevRegistry, size: int, kind: str | None) -> None:
    """`n` at a time, by their digests, each once, and only those of the kind that is asked for."""
    subject = push_image(registry, "a", "1")
    made = {referrer(registry, subject, str(n), artifactType=f"{KIND}+{n % 2}"): f"{KIND}+{n % 2}" for n in range(7)}
    wanted = sorted(digest for digest, its in made.items() if kind in (None, its))
    query = urlencode({"n": size, **({"artifactType": kind} if kind else {})})

    found = pages(registry, f"/v2/a/referrers/{subject.digest}?{query}")

    assert [[entry["digest"] for entry in page] for page in found] == [
        wanted[start : start + size] for start in range(0, len(wanted), size)
    ]


def test_a_list_of_referrers_is_never_too_large(registry: DevRegistry) -> None:
    """Where annotations make it larger than a client reads, it comes in pages, asked for or not."""
    subject = push_image(registry, "a", "1")
    note = {"note": "x" * (MAX_SIZE // 3)}
    made = {referrer(registry, subject, str(number), annotations=note) for number in range(5)}

    found = pages(registry, f"/v2/a/referrers/{subject.digest}")

    assert len(found) > 1
    assert {entry["digest"] for page in found for entry in page} == made


@pytest.mark.parametrize("number", ["-1", "x", "9" * 5000])
def test_what_is_no_number_of_entries(registry: DevRegistry, number: str) -> None:
    """It is refused, for tags and referrers alike."""
    subject = push_image(registry, "a", "1")
    for path in ("tags/list", f"referrers/{subject.digest}"):
        answer = ask(registry, "GET", f"/v2/a/{path}?n={number}")
        assert code(answer) == (400, "PAGINATION_NUMBER_INVALID")
