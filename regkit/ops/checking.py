"""All that is looked at before a publish pushes: base images, then the images themselves, by a test and by people.

What only this needs is imported where it is asked for: a publish without it starts faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from regkit.errors import Unavailable, UsageError
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.ops.building import Built, builders, native_platform
from regkit.ops.images import Content
from regkit.ops.spec import PublishSpec
from regkit.ops.tasks import ahead
from regkit.transport.session import Session

if TYPE_CHECKING:
    from regkit.build.address import Address
    from regkit.build.baseimages import Need


class Checking:
    """The checks of one publish. What this machine lacks for them is told at once, with UsageError or Unavailable.

    The base images are asked for while the plan is made.
    """

    def __init__(self, session: Session, spec: PublishSpec, env: Mapping[str, str]) -> None:
        self._session, self._spec, self._env, self._checks = session, spec, env, spec.checks
        if self._checks.load:
            self._check_engine()
        asks = spec.build is not None and self._checks.preflight
        self._bases: Callable[[], None] | None = ahead(self._check_bases) if asks else None

    def await_bases(self) -> None:
        """Wait for what is known of the base images; raise what is wrong with them."""
        if self._bases is not None:
            self._bases()

    def test_built(self, built: Built) -> None:
        """Test what was built, where it was built."""
        if self._checks.test:
            self._test(built.content, {platform: job.address for job in built.jobs for platform in job.spec.platforms})

    def test_content(self, content: Content) -> None:
        """Test what was built elsewhere, on the builders that would build it here."""
        if self._checks.test:
            platforms = self._checks.tested(tuple(image.platform for image in content.images))
            with builders(self._session, platforms, self._checks.means, self._env) as addresses:
                self._test(content, addresses)

    def load(self, content: Content) -> None:
        """Hand an image to a local engine, where one is named."""
        if not self._checks.load:
            return
        from regkit.build.workspace import workspace
        from regkit.ops.load import choose
        from regkit.ops.load import load as hand_over

        image = choose(content.images, self._checks.load_platform, _machine())
        tag = next(iter((*self._spec.exact_tags, *self._spec.wanted_tags)))
        with workspace(self._env) as directory:
            hand_over(
                self._session,
                image,
                replace(self._spec.images[0], tag=tag),
                self._checks.load,
                directory=directory,
                env=self._env,
            )

    def _check_engine(self) -> None:
        from regkit.build.baseimages import suits
        from regkit.build.engines import check_engine

        own = _machine()
        if self._checks.load_platform is None and not any(suits(own, there) for there in self._spec.platforms):
            there = ", ".join(map(str, self._spec.platforms))
            raise UsageError(
                f"none of the images is for this machine, {own}, to be loaded",
                hint=f"choose one with --load-platform: there are {there}",
            )
        check_engine(self._checks.load, self._env)

    def _check_bases(self) -> None:
        from regkit.ops.preflight import preflight

        preflight(self._session, self._needs())

    def _needs(self) -> tuple[Need, ...]:
        from regkit.build.baseimages import GENERATOR, Need, needs
        from regkit.build.dockerfile import read_dockerfile

        build = self._spec.build
        assert build is not None

        def native() -> Platform | None:
            """Tell for which machine images are read that run on the builder; not, where there are several, or none.

            What is wrong with a builder is said when it is to build.
            """
            try:
                return None if build.means.builders else native_platform(self._env, build.means)
            except (UsageError, Unavailable):
                return None

        text = read_dockerfile(build.dockerfile).decode("utf-8", "replace")
        found = needs(text, dict(build.build_args), build.platforms, native, build.target)
        generator = dict(dict(build.attests).get("sbom", ())).get("generator", GENERATOR)
        own = native() if "sbom" in dict(build.attests) else None
        return (*found, Need(Reference.parse(generator), own, "sbom")) if own else found

    def _test(self, content: Content, addresses: Mapping[Platform, Address]) -> None:
        from regkit.build.trial import parse_command
        from regkit.build.workspace import workspace
        from regkit.ops.trial import try_out

        with workspace(self._env) as directory:
            try_out(
                self._session,
                content,
                parse_command(self._checks.test),
                self._checks.test_platforms,
                addresses,
                directory=directory,
                env=self._env,
            )


def _machine() -> Platform:
    from regkit.build.machine import native_platform as machine

    return machine()
