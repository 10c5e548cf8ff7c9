"""Real clients that log in, over TLS and without: regkit, crane, oras, regctl, skopeo; and distribution as verifier."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from regkit.devregistry.app import DevRegistry
from regkit.devregistry.auth import TokenGuard
from regkit.devregistry.front import Front
from regkit.devregistry.server import running
from regkit.devregistry.tokens import ISSUER, Tokens
from regkit.devregistry.users import Grant, Users
from tests.support.command import clean_environment, output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, distribution, embedded

from .test_users import hashed

USER, SECRET = "ci", "canary-9a7b"
HTPASSWD = f"{USER}:{hashed(SECRET, b'2y')}\nreader:{hashed('r')}\n"
GRANTS = ("--grant", "reader=app:pull")


@dataclass(frozen=True)
class Guarded:
    """A registry that wants a login, and a home whose clients trust it."""

    registry: RunningRegistry
    home: Path
    ca: Path | None

    @property
    def host(self) -> str:
        return self.registry.host

    def run(self, *argv: str | Path, given: str = "", wrong: bool = False) -> str:
        """Run a client in the home; what it said, where it ends as it must."""
        env = clean_environment(self.home, {"SSL_CERT_FILE": str(self.ca)} if self.ca else {})
        done = subprocess.run(
            list(map(str, argv)), env=env, input=given, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode != 0) == wrong, f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    def regkit(self, *argv: str | Path, given: str = "", wrong: bool = False) -> str:
        trust = ("--ca-file", self.ca) if self.ca else ()
        return self.run("regkit", *trust, *argv, given=given, wrong=wrong)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module", params=["basic", "token", "basic tls", "token tls"])
def guarded(
    request: pytest.FixtureRequest, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    scheme, _, tls = request.param.partition(" ")
    root = tmp_path_factory.mktemp(scheme)
    home = root / "home"
    home.mkdir()
    (root / "htpasswd").write_text(HTPASSWD)
    options = ["--auth", str(root / "htpasswd"), "--auth-scheme", scheme, *GRANTS]
    if tls:
        authority.cert_pem.write_to_path(root / "ca.pem")
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.cert_chain_pems[0].write_to_path(root / "cert.pem")
        certificate.private_key_pem.write_to_path(root / "key.pem")
        options += ["--tls-cert", str(root / "cert.pem"), "--tls-key", str(root / "key.pem")]
    make_layout(home / "layout", tag="1")
    with embedded(root / "registry", *options) as registry:
        yield Guarded(registry, home, root / "ca.pem" if tls else None)


def test_regkit(guarded: Guarded) -> None:
    """It logs in, pushes and pulls; nobody else does, and the secret is nowhere."""
    name = f"{guarded.host}/regkit/app"
    guarded.regkit("copy", "oci:layout:1", f"{name}:1", wrong=True)
    guarded.regkit("login", guarded.host, "-u", USER, "--password-stdin", given="wrong\n", wrong=True)
    guarded.regkit("login", guarded.host, "-u", USER, "--password-stdin", given=SECRET)

    guarded.regkit("copy", f"oci:{guarded.home / 'layout'}:1", f"{name}:1")
    guarded.regkit("copy", f"{name}:1", f"{guarded.host}/regkit/copy:2")
    guarded.regkit("tag", "rm", "--yes", f"{name}:1")

    assert guarded.regkit("tag", "ls", f"{guarded.host}/regkit/copy") == "2\n"
    guarded.regkit("tag", "ls", name, wrong=True)
    guarded.regkit("logout", guarded.host)
    assert SECRET not in guarded.registry.errors()


def test_crane(guarded: Guarded) -> None:
    """Crane logs in, pushes a layout, copies by mount, and lists."""
    name = f"{guarded.host}/crane/app"
    guarded.run("crane", "ls", name, wrong=True)
    guarded.run("crane", "auth", "login", guarded.host, "-u", USER, "--password-stdin", given=SECRET)

    guarded.run("crane", "push", guarded.home / "layout", f"{name}:1")
    guarded.run("crane", "copy", f"{name}:1", f"{guarded.host}/crane/copy:2")

    assert guarded.run("crane", "ls", f"{guarded.host}/crane/copy").split() == ["2"]
    guarded.run("crane", "auth", "logout", guarded.host)


def test_oras(guarded: Guarded) -> None:
    """Oras logs in, and refuses a wrong password; it copies a layout and lists."""
    plain = () if guarded.ca else ("--plain-http",)
    trust = ("--ca-file", str(guarded.ca)) if guarded.ca else ()
    name = f"{guarded.host}/oras/app"
    guarded.run("oras", "login", guarded.host, "-u", USER, "--password-stdin", *plain, *trust, given="no", wrong=True)
    guarded.run("oras", "login", guarded.host, "-u", USER, "--password-stdin", *plain, *trust, given=SECRET)

    to = ("--to-plain-http",) if plain else ("--to-ca-file", str(guarded.ca))
    guarded.run("oras", "cp", "--from-oci-layout", f"{guarded.home / 'layout'}:1", f"{name}:1", *to)

    assert guarded.run("oras", "repo", "tags", name, *plain, *trust).split() == ["1"]
    guarded.run("oras", "logout", guarded.host)


def test_regctl(guarded: Guarded) -> None:
    """Regctl logs in, copies a layout, and deletes a tag."""
    tls = f"tls={'enabled' if guarded.ca else 'disabled'}"
    host = ("--host", f"reg={guarded.host},{tls}")
    name = f"{guarded.host}/regctl/app"
    guarded.run("regctl", *host, "registry", "login", guarded.host, "-u", USER, "--pass-stdin", given=SECRET)

    guarded.run("regctl", *host, "image", "copy", f"ocidir://{guarded.home / 'layout'}:1", f"{name}:1")
    guarded.run("regctl", *host, "tag", "delete", f"{name}:1")

    assert guarded.run("regctl", *host, "tag", "ls", name).split() == []
    guarded.run("regctl", *host, "registry", "logout", guarded.host)


def test_skopeo(guarded: Guarded) -> None:
    """Skopeo logs in, and refuses a wrong password; it copies a layout and reads it back."""
    verify = "--tls-verify=false" if guarded.ca is None else "--tls-verify=true"
    auth = ("--authfile", str(guarded.home / "auth.json"))
    image = f"docker://{guarded.host}/skopeo/app:1"
    guarded.run("skopeo", "login", verify, *auth, guarded.host, "-u", USER, "--password-stdin", given="no", wrong=True)
    guarded.run("skopeo", "login", verify, *auth, guarded.host, "-u", USER, "--password-stdin", given=SECRET)

    guarded.run("skopeo", "copy", "--all", f"--dest-{verify[2:]}", *auth, f"oci:{guarded.home / 'layout'}:1", image)
    raw = json.loads(guarded.run("skopeo", "inspect", "--raw", verify, *auth, image))

    assert raw["manifests"]


def test_a_user_who_may_only_pull(guarded: Guarded) -> None:
    """A grant holds for every client: pulling is fine, pushing isn't, and another repository isn't either."""
    guarded.regkit("login", guarded.host, "-u", USER, "--password-stdin", given=SECRET)
    for repository in ("app", "other"):
        guarded.regkit("copy", f"oci:{guarded.home / 'layout'}:1", f"{guarded.host}/{repository}:1")
    guarded.run("crane", "auth", "login", guarded.host, "-u", "reader", "--password-stdin", given="r")

    assert guarded.run("crane", "ls", f"{guarded.host}/app").split() == ["1"]
    guarded.run("crane", "ls", f"{guarded.host}/other", wrong=True)
    guarded.run("crane", "tag", f"{guarded.host}/app:1", "2", wrong=True)
    guarded.regkit("tag", "set", f"{guarded.host}/app:1", "2", wrong=True)
    assert guarded.regkit("tag", "ls", f"{guarded.host}/app") == "1\n"


@pytest.mark.parametrize("scheme", ["basic", "token"])
def test_everybody_pulls(tmp_path: Path, scheme: str) -> None:
    """With --anonymous-pull a client without a login reads, and only that."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    make_layout(tmp_path / "layout", tag="1")
    options = ("--auth", str(tmp_path / "htpasswd"), "--auth-scheme", scheme, "--anonymous-pull")
    with embedded(tmp_path / "registry", *options) as registry:
        image = f"{registry.host}/app:1"
        login = ("login", registry.host, "-u", USER, "--password-stdin")
        guarded = Guarded(registry, tmp_path, None)
        guarded.regkit(*login, given=SECRET)
        guarded.regkit("copy", "oci:layout:1", image, wrong=True)
        guarded.regkit("copy", f"oci:{tmp_path / 'layout'}:1", image)
        guarded.regkit("logout", registry.host)

        guarded.run("crane", "validate", "--remote", image)
        guarded.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}")
        guarded.run("oras", "manifest", "fetch", "--plain-http", image)
        guarded.run("regctl", "--host", f"reg={registry.host},tls=disabled", "manifest", "get", image)
        guarded.regkit("verify", image)
        guarded.regkit("tag", "set", image, "2", wrong=True)
        guarded.run("crane", "tag", image, "2", wrong=True)


def test_distribution_takes_our_tokens(tmp_path: Path) -> None:
    """Another registry verifies what our service signs: its users push where their grants say, and nowhere else."""
    users = Users({USER: hashed(SECRET)}, (Grant.parse(f"{USER}=team/*:pull,push"),))
    tokens = Tokens("distribution")
    front = Front(DevRegistry(), guarding=lambda handle: TokenGuard(handle, users, tokens))
    (tmp_path / "jwks.json").write_text(json.dumps(tokens.jwks))
    make_layout(tmp_path / "layout", tag="1")
    with running(front) as service:
        realm = {"realm": f"{service.url}/token", "service": "distribution", "issuer": ISSUER}
        config: Mapping[str, object] = {"auth": {"token": {**realm, "jwks": str(tmp_path / "jwks.json")}}}
        with distribution(tmp_path / "distribution", extra_config=config) as registry:
            guarded = Guarded(registry, tmp_path, None)
            guarded.regkit("login", registry.host, "-u", USER, "--password-stdin", given=SECRET)
            layout = f"oci:{tmp_path / 'layout'}:1"
            guarded.regkit("copy", layout, f"{registry.host}/team/app:1")
            guarded.regkit("copy", layout, f"{registry.host}/other:1", wrong=True)

            assert guarded.regkit("tag", "ls", f"{registry.host}/team/app") == "1\n"


def test_one_file_serves_distribution_and_us(tmp_path: Path) -> None:
    """The same htpasswd file lets the same people into both."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    htpasswd = {"auth": {"htpasswd": {"realm": "x", "path": str(tmp_path / "htpasswd")}}}
    with (
        distribution(tmp_path / "distribution", extra_config=htpasswd) as theirs,
        embedded(tmp_path / "embedded", "--auth", str(tmp_path / "htpasswd")) as ours,
    ):
        for registry in (theirs, ours):
            guarded = Guarded(registry, tmp_path, None)
            for password, wrong in ((SECRET, False), ("wrong", True)):
                guarded.regkit("login", registry.host, "-u", USER, "--password-stdin", given=password, wrong=wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--auth", "none"), "can't read the users in none"),
        (("--grant", "a=b:pull"), "nobody logs in without a file of users"),
        (("--anonymous-pull",), "nobody logs in without a file of users"),
        (("--auth-scheme", "token"), "nobody logs in without a file of users"),
        (("--auth", "htpasswd", "--grant", "a"), "not a grant: 'a'"),
        (("--auth", "htpasswd", "--quirk", "foreign-location"), "doesn't go with logins"),
        (("--quirk", "nothing"), "not a quirk: 'nothing'"),
        (("--quirk", "lag=x"), "not a number for the quirk lag"),
        (("--quirk", "read-only=1"), "has no number"),
        (("--tls-cert", "htpasswd"), "go together"),
        (("--tls-cert", "htpasswd", "--tls-key", "htpasswd"), "can't use htpasswd with htpasswd for TLS"),
        (("--tls-cert", "none", "--tls-key", "htpasswd"), "No such file"),
    ],
)
def test_what_serve_refuses(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    """One sentence, a hint, 2; nothing is served."""
    (tmp_path / "htpasswd").write_text(HTPASSWD)

    done = regkit("registry", "serve", "--addr", "127.0.0.1:0", *options, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_quirks_are_listed() -> None:
    """For people and for scripts, each with who plays so."""
    listed = json.loads(output_of(regkit("registry", "quirks", "--format", "json")))
    shown = output_of(regkit("registry", "quirks"))

    assert listed["schema"] == 1
    assert [line.split()[0].partition("=")[0] for line in shown.splitlines()] == [q["name"] for q in listed["quirks"]]
    assert all(quirk["plays"] in shown for quirk in listed["quirks"])
