"""`regkit build`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regkit.cli.building import Building, read_building
from regkit.cli.configured import Configured
from regkit.cli.declared import Annotations, Commit, Images, Platforms
from regkit.cli.groups import with_groups
from regkit.cli.options import Format, globals_of, lines_of
from regkit.cli.output import telling, write_json, write_lines

if TYPE_CHECKING:
    from regkit.targets.location import Location

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(cls=Configured)
@with_groups
def build(
    ctx: typer.Context,
    context: Annotated[Path, typer.Argument(metavar="CONTEXT", help="The directory that is built.")] = Path(),
    image: Images = None,
    platform: Platforms = None,
    commit: Commit = None,
    *,
    building: Annotated[Building, read_building],
    annotation: Annotations = None,
    push: Annotated[
        bool, typer.Option("--push", envvar="REGKIT_PUSH", help="Push under the tags COMMIT-os-arch[-variant].")
    ] = False,
    push_by_digest: Annotated[
        bool, typer.Option("--push-by-digest", envvar="REGKIT_PUSH_BY_DIGEST", help="Push without any tag.")
    ] = False,
    output: Annotated[
        list[str] | None,
        typer.Option(
            envvar="REGKIT_OUTPUT",
            metavar="ocidir://DIR|oci-archive:FILE",
            help="Write all platforms there, as one index; repeatable.",
        ),
    ] = None,
    digest_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="REGKIT_DIGEST_DIR",
            metavar="DIR",
            help="Write there what was pushed, a JSON file a platform, for merge.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", envvar="REGKIT_FORMAT")] = Format.text,
) -> None:
    """Build CONTEXT for all platforms; push the images by digest or under platform tags, or write them to files.

    Without any of these, the result stays in the builder's cache.
    """
    from regkit.errors import UsageError
    from regkit.oci.annotation import parse_levels
    from regkit.oci.platform import parse_platforms
    from regkit.ops.build import BuildRequest, BuildResult, Delivery, Push, build_images
    from regkit.ops.checks import Checks
    from regkit.ops.request import parse_images, wanted_build
    from regkit.ops.source import detect

    if push and push_by_digest:
        raise UsageError("--push names images by tags, --push-by-digest by none", hint="give one of them")
    levels = parse_levels(annotation or lines_of("REGKIT_ANNOTATION"), images=True)
    lost = next((each for each in levels if each.level.endswith("-descriptor")), None)
    if lost is not None:
        raise UsageError(f"what is built isn't listed in an index yet: {lost}", hint="give it to regkit merge")
    delivery = Delivery(
        parse_images(image) if image else (),
        Push.tag if push else Push.digest if push_by_digest else Push.none,
        tuple(_place(text) for text in output or ()),
        digest_dir,
        commit or detect(os.environ, context).commit,
    )
    delivery.check()
    spec = wanted_build(
        context,
        file=building["file"],
        platforms=parse_platforms(platform or ()),
        target=building["target"],
        build_args=building["build_args"],
        attests=building["attests"],
        means=building["means"],
        annotations=tuple(each for each in levels if each.level == "manifest"),
        env=os.environ,
    )
    checks = Checks.read(
        test=building["test"],
        test_platforms=building["test_platforms"],
        preflight=building["preflight"],
        means=building["means"],
    )
    request = BuildRequest(spec, delivery, {each.key: each.value for each in levels if each.level == "index"}, checks)

    def tell(result: BuildResult) -> None:
        if form is Format.json:
            write_json(result.to_json())
        else:
            write_lines(result.names)

    with telling(tell), globals_of(ctx).session() as session:
        result = build_images(session, request, env=os.environ)
    tell(result)


def _place(text: str) -> Location:
    """Read where a build is written to; raise UsageError, for buildx's spelling, too."""
    from regkit.errors import UsageError
    from regkit.targets.location import Location

    if text.startswith(("type=", "dest=")):
        hint = "write ocidir://DIR[:name] or oci-archive:FILE[:name]"
        raise UsageError(f"a build can't be written to {text!r}", hint=hint)
    return Location.parse(text)
