"""What is looked at before anything is pushed: base images, the images themselves, and a local engine for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from regkit.errors import UsageError
from regkit.oci.platform import Platform, parse_platforms
from regkit.ops.entries import fits

if TYPE_CHECKING:
    from regkit.build.means import Means


@dataclass(frozen=True, slots=True)
class Checks:
    """`test` runs in the image of each of `test_platforms`, all where there are none; `means` have the builders for it.

    `load` names the engine that the image for `load_platform` is handed to, the machine's own where there is none.
    """

    test: str = ""
    test_platforms: tuple[Platform, ...] = ()
    preflight: bool = True
    load: str = ""
    load_platform: Platform | None = None
    means: Means | None = None

    @classmethod
    def read(
        cls,
        *,
        test: str | None = None,
        test_platforms: Sequence[str] = (),
        preflight: bool = True,
        load: str | None = None,
        load_platform: str | None = None,
        means: Means | None = None,
    ) -> Self:
        """Check what can be checked without images; raise UsageError."""
        asked = parse_platforms(test_platforms)
        if asked and test is None:
            raise UsageError("--test-platform narrows a test, and there is none", hint="give --test COMMAND")
        if load_platform and load is None:
            raise UsageError("--load-platform chooses what is loaded, and nothing is", hint="give --load ENGINE")
        if test is not None:
            from regkit.build.trial import parse_command

            parse_command(test)
        if load is not None:
            from regkit.build.engines import ENGINES

            if load not in ENGINES:
                raise UsageError(f"no engine {load!r} is known", hint=f"there are: {', '.join(ENGINES)}")
        chosen = Platform.parse(load_platform) if load_platform else None
        return cls(test or "", asked, preflight, load or "", chosen, means)

    def check(self, platforms: Sequence[Platform]) -> None:
        """Raise UsageError for a platform to be tested or loaded that isn't among those of the release."""
        for platform in (*self.test_platforms, *([self.load_platform] if self.load_platform else [])):
            if not any(fits(platform, there) for there in platforms):
                names = ", ".join(map(str, platforms))
                raise UsageError(f"{platform} isn't among the platforms that are published", hint=f"there are: {names}")

    def tested(self, platforms: Sequence[Platform]) -> tuple[Platform, ...]:
        """Choose those of the release's platforms whose images are tested."""
        if not self.test:
            return ()
        asked = self.test_platforms
        return tuple(there for there in platforms if not asked or any(fits(platform, there) for platform in asked))

    def to_json(self, platforms: Sequence[Platform], *, runs: bool) -> Mapping[str, Any] | None:
        """Give the test as a plan tells it; None where there is none."""
        if not self.test:
            return None
        return {"command": self.test, "platforms": [str(p) for p in self.tested(platforms)], "runs": runs}
