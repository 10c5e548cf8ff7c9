"""What is added up from the events, and the matrix that comes of it."""

from __future__ import annotations

from regkit import events
from regkit.cli.render_tally import Tally, bytes_of
from regkit.events import Event
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.platform import Platform

LAYERS = tuple(Descriptor("application/octet-stream", Digest.of(name), 1024) for name in (b"one", b"two"))


def image(platform: str, *layers: Descriptor) -> events.ImageFound:
    digest = Digest.of(platform.encode())
    descriptor = Descriptor("application/vnd.oci.image.manifest.v1+json", digest, 1, Platform.parse(platform))
    return events.ImageFound(descriptor, layers, 2048)


def tally(*reported: Event) -> Tally:
    made = Tally()
    for event in reported:
        made.note(event)
    return made


def step(platform: str, name: str, *, cached: bool = False) -> events.StepDone:
    return events.StepDone(platform, name, cached=cached, seconds=1)


def test_the_matrix_has_what_there_is_to_say() -> None:
    """Without a build there is no column of cached steps, without tests none of tests."""
    images = (image("linux/amd64", *LAYERS), image("linux/arm64/v8", LAYERS[0]))

    [head, *rows] = tally(*images).matrix()

    assert head == ("PLATFORM", "DIGEST", "SIZE", "LAYERS")
    assert rows == [
        ("linux/amd64", images[0].descriptor.digest, "2.0 KiB", "2"),
        ("linux/arm64/v8", images[1].descriptor.digest, "2.0 KiB", "1"),
    ]


def test_steps_and_tests_are_counted_by_platform() -> None:
    """BuildKit's own steps don't count."""
    found = tally(
        step("linux/amd64", "[1/2] FROM x", cached=True),
        step("linux/amd64", "[2/2] RUN y"),
        step("linux/arm64", "[1/2] FROM x", cached=True),
        step("linux/arm64", "exporting"),
        step("", "[internal] load x"),
        events.PlatformTested("linux/amd64", passed=True, seconds=1),
        events.PlatformTested("linux/arm64", passed=False, seconds=1),
        image("linux/arm64"),
        image("linux/amd64"),
    )

    [head, *rows] = found.matrix(short=True)

    assert head[-2:] == ("CACHED", "TEST")
    assert {row[0]: row[-2:] for row in rows} == {
        "linux/amd64": ("1 of 2", "passed"),
        "linux/arm64": ("1 of 1", "FAILED"),
    }
    assert (found.steps, found.cached) == (3, 2)


def test_steps_that_nobody_can_tell_a_platform_of() -> None:
    """Where a platform's steps aren't known, none are listed, rather than a wrong number; the sum has them all."""
    found = tally(
        step("linux/amd64", "[1/2] COPY x /", cached=True),
        step("", "[2/2] RUN y"),
        step("", "[2/2] RUN y"),
        events.PlatformTested("linux/amd64", passed=True, seconds=1),
        image("linux/amd64"),
        image("linux/arm64"),
    )

    [head, *rows] = found.matrix()

    assert head[-2:] == ("LAYERS", "TEST")
    assert [row[-1] for row in rows] == ["passed", "-"]
    assert (found.steps, found.cached) == (3, 1)


def test_a_platform_without_an_image_is_no_row() -> None:
    """A stage that runs on the builder's own platform makes no image for that."""
    found = tally(step("linux/amd64", "[build 1/2] RUN x"), image("linux/arm64"))

    assert [row[0] for row in found.matrix()[1:]] == ["linux/arm64"]


def test_what_is_under_way() -> None:
    """A step's bytes belong to the step that runs, and go with it."""
    started = events.StepStarted("linux/amd64", "[1/2] FROM x")
    moved = [events.StepProgress("linux/amd64", "[1/2] FROM x", item, 512, 1024) for item in ("a", "b", "a")]

    there = tally(started, *moved).platforms["linux/amd64"]
    after = tally(started, *moved, step("linux/amd64", "[1/2] FROM x")).platforms["linux/amd64"]

    assert (there.running, bytes_of(there.moved.values())) == ("[1/2] FROM x", "1.0 KiB of 2.0 KiB")
    assert (after.running, bytes_of(after.moved.values())) == ("", "")


def test_what_is_sent() -> None:
    """A blob counts while it is on its way, and once it's there; what was there already wasn't sent."""
    one, two = LAYERS
    found = tally(events.BlobProgress(one, 100), events.ContentExists(two), events.BlobPushed(one))

    assert (found.sent, found.arrived, found.existing) == ({one.digest: 1024}, {one.digest}, {two.digest})
    found.note(events.ContentExists(one))
    assert found.existing == {two.digest}, "asked for after it was sent"
