"""Files of `dist/`: each is read by the program that it is written for."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gatebook.store.settings import Settings
from gatebook.tools.manual import page
from tests.api.served import Deployment

DIST = Path(__file__).parents[2] / "dist"
UNITS = ("gatebook.service", "gatebook-backup.service", "gatebook-backup.timer")


def tool(name: str) -> str:
    """Where a program is. Its absence fails in CI and skips elsewhere."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        if os.environ.get("CI"):
            raise AssertionError(f"{name} is not installed; ./run test does it")
        pytest.skip(f"{name} is not installed")
    return found


def said(*command: str | Path, directory: Path = DIST) -> str:
    """What a command says. It must succeed."""
    done = subprocess.run(
        [*map(str, command)], cwd=directory, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_manual_is_that_of_the_commands() -> None:
    """gatebook(1) is what the program says of itself: python -m gatebook.tools.manual."""
    assert (DIST / "gatebook.1").read_text() == page()


def test_the_manual_names_what_a_command_cannot_do_without() -> None:
    """Required options stand in the line of their command; a short option has one dash."""
    lines = page().splitlines()
    assert any(
        line.startswith(".It Cm key escrow Fl -shares Ar N Fl -threshold Ar K Fl -out Ar DIR")
        for line in lines
    )
    assert any(line.startswith(".It Cm key recover Fl -share Ar FILE ...") for line in lines)
    assert ".It Fl n Ar N" in lines
    assert "" not in lines


@pytest.mark.parametrize("script", ["install.sh", "backup", "gatebook.sh"])
def test_shell_scripts_are_clean(script: str) -> None:
    """No warning of shellcheck."""
    assert said(tool("shellcheck"), script) == ""


def test_units_are_valid_and_confined(tmp_path: Path) -> None:
    """systemd takes them, and finds the service's exposure to be low."""
    analyze = tool("systemd-analyze")
    for name in UNITS:
        text = (DIST / name).read_text()
        text = text.replace("/opt/gatebook/bin/gatebook", "/bin/true")
        text = text.replace("/opt/gatebook/libexec/backup", "/bin/true")
        text = "".join(line for line in text.splitlines(True) if "Documentation=" not in line)
        (tmp_path / name).write_text(text)
    complaints = said(analyze, "verify", *(f"./{name}" for name in UNITS), directory=tmp_path)
    assert [line for line in complaints.splitlines() if "gatebook" in line] == []
    (tmp_path / "gatebook.service.d").mkdir()
    shutil.copy(DIST / "credential.conf", tmp_path / "gatebook.service.d")
    said(analyze, "verify", "./gatebook.service", directory=tmp_path)
    verdict = said(analyze, "security", "--offline=true", "--threshold=20", "./gatebook.service")
    assert "Overall exposure level" in verdict


def test_the_service_is_what_the_issue_asks_for() -> None:
    """Readiness, watchdog, no core dumps, nothing writable but the data; a credential drop-in."""
    lines = set((DIST / "gatebook.service").read_text().splitlines())
    assert {
        "Type=notify",
        "WatchdogSec=30",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "ReadWritePaths=/srv/gatebook",
        "LimitCORE=0",
        "User=gatebook",
    } <= lines
    drop_in = (DIST / "credential.conf").read_text()
    assert "LoadCredential=passphrase:" in drop_in
    assert "PASSPHRASE_FILE=%d/passphrase" in drop_in


@pytest.mark.parametrize("name", ["gatebook.toml", "compose/gatebook.toml"])
def test_example_configurations_are_accepted(name: str, tmp_path: Path) -> None:
    """The examples are read by the program, and hold only keys that it knows."""
    copy = tmp_path / "gatebook.toml"
    shutil.copy(DIST / name, copy)
    settings = Settings.load(copy, {})
    assert settings.public_url == "https://auth.example.org"
    assert tomllib.loads(copy.read_text())["server"]["trusted_proxies"]


def test_the_image_is_slim_and_not_root() -> None:
    """The Dockerfile ends as a user of its own, with a health check that asks for readiness."""
    lines = (DIST / "Dockerfile").read_text().splitlines()
    last = max(index for index, line in enumerate(lines) if line.startswith("FROM"))
    stage = "\n".join(lines[last:])
    assert "-slim" in lines[last]
    assert "USER 10001:10001" in stage
    assert "/v1/ready" in stage
    compose = (DIST / "compose.yaml").read_text()
    for wanted in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "core: 0"):
        assert wanted in compose


def test_nginx_takes_its_example(tmp_path: Path) -> None:
    """`nginx -t` accepts it, with a certificate of the test's own."""
    nginx = tool("nginx")
    crt, key = certificate(tmp_path)
    site = (DIST / "proxies" / "nginx.conf").read_text()
    site = site.replace("/etc/ssl/gatebook/tls.crt", str(crt)).replace(
        "/etc/ssl/gatebook/tls.key", str(key)
    )
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{site}\n}}\n")
    assert "successful" in said(nginx, "-t", "-e", "stderr", "-c", whole)


def test_haproxy_takes_its_example(tmp_path: Path) -> None:
    """`haproxy -c` accepts it, with a certificate of the test's own."""
    haproxy = tool("haproxy")
    crt, key = certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(crt.read_text() + key.read_text())
    text = (DIST / "proxies" / "haproxy.cfg").read_text().replace("/etc/ssl/gatebook/", str(both))
    config = tmp_path / "haproxy.cfg"
    config.write_text(text)
    assert "ALERT" not in said(haproxy, "-c", "-f", config)


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    crt, key = directory / "tls.crt", directory / "tls.key"
    said(
        tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-days", "2", "-subj", "/CN=auth.example.org", "-keyout", key, "-out", crt,
    )  # fmt: skip
    return crt, key


def test_dashboard_and_alerts_ask_for_metrics_that_exist(tmp_path: Path) -> None:
    """Every metric that is named in them is one that the service shows, or will under TLS."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1\nthreads = 4")
    deployment.create()
    with deployment.served() as served:
        served.client.get("/v1/health")
        shown = served.admin.get("/metrics").raw.decode()
    known = set(re.findall(r"^(gatebook_\w+)", shown, re.MULTILINE)) | {
        "gatebook_tls_certificate_days"
    }
    dashboard = json.loads((DIST / "observe" / "dashboard.json").read_text())
    asked = [one["expr"] for panel in dashboard["panels"] for one in panel["targets"]]
    asked.append((DIST / "observe" / "alerts.yaml").read_text())
    named = {name for text in asked for name in re.findall(r"gatebook_\w+", text)}
    assert len(named) >= 8
    assert named - known == set()


def test_the_lock_has_what_setup_asks_for() -> None:
    """Each dependency is locked, with hashes, at a version that setup.cfg allows: ./run lock."""
    setup = configparser.ConfigParser()
    setup.read(DIST.parent / "setup.cfg")
    wanted = setup["options"]["install_requires"] + setup["options.extras_require"]["granian"]
    locked = (DIST.parent / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", locked, re.MULTILINE))
    for line in filter(None, wanted.splitlines()):
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not locked"
        assert requirement.specifier.contains(pinned[name]), f"{name}=={pinned[name]}"
    for block in re.split(r"^(?=[a-z0-9])", locked, flags=re.MULTILINE):
        assert not block.strip() or "--hash=sha256:" in block, block
