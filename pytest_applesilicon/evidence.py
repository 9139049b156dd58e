"""Evidence for a CI without a Mac: a report, signed by who made it, bound to its commit.

A maintainer runs the suites on a Mac, in a clean checkout, and signs the report with an SSH
key; a job on Linux holds it against the keys that the project allows. ``ssh-keygen -Y`` signs
and verifies: its format (PROTOCOL.sshsig of OpenSSH) binds a signature to a namespace, so that
one made for git or for a login is none of ours.

Everything is refused that is not shown to be right.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: What a signature is for; part of what is signed.
NAMESPACE = "report@pytest-applesilicon"

VERSION = 1

_BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
_END = b"-----END SSH SIGNATURE-----\n"

#: Characters of base64 on a line, as ssh-keygen writes it.
_WIDTH = 70

_TIMEOUT_S = 60

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class EvidenceError(ValueError):
    """A report cannot be signed, or is not accepted; the text says what differs."""


@dataclass(frozen=True)
class Statement:
    """What is signed."""

    report_sha256: str
    """Of the bytes of the report."""
    commit: str
    tree: str
    """Of the checkout that the tests came from."""
    signed: str
    """UTC, ISO 8601."""
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The only form in which it is signed and read."""
        return (json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n").encode()


def digest(report: bytes) -> str:
    """The SHA-256 of a report."""
    return hashlib.sha256(report).hexdigest()


def sign(statement: Statement, key: Path) -> bytes:
    """The attestation: the statement, and below it the signature.

    ``ssh-keygen`` asks for the passphrase of the key itself, or takes the key from the agent
    where ``key`` is a public one.

    Raises:
        EvidenceError: there is no ssh-keygen, or the key does not sign.
    """
    text = statement.to_bytes()
    done = _ssh_keygen(["sign", "-n", NAMESPACE, "-f", str(key)], text)
    signature = done.stdout
    if done.returncode or not signature.startswith(_BEGIN):
        raise EvidenceError(f"{key}: ssh-keygen does not sign with it: {_told(done)}")
    return text + signature


def read(attestation: bytes, allowed_signers: Path, name: str) -> tuple[Statement, str]:
    """The statement, once its signature holds, and the identity of who signed it.

    Args:
        attestation: What ``sign`` returned.
        allowed_signers: The keys that are trusted, in OpenSSH's format.
        name: Of the attestation, for messages.

    Raises:
        EvidenceError: it is not an attestation, was changed, or nobody who is allowed signed it.
    """
    at = attestation.find(_BEGIN)
    if at < 0:
        raise EvidenceError(f"{name}: it has no SSH signature")
    text, signature = attestation[:at], attestation[at:]
    _check_form(signature, name)
    if not allowed_signers.is_file():
        raise EvidenceError(f"{allowed_signers}: no file of allowed signers is there")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signature"
        path.write_bytes(signature)
        common = ["-f", str(allowed_signers), "-s", str(path)]
        found = _ssh_keygen(["find-principals", *common], b"")
        identities = found.stdout.decode(errors="replace").splitlines()
        if found.returncode or not identities:
            raise EvidenceError(f"{name}: no key of {allowed_signers} made this signature")
        identity = identities[0]
        done = _ssh_keygen(["verify", "-n", NAMESPACE, "-I", identity, *common], text)
    if done.returncode:
        raise EvidenceError(f"{name}: the signature of {identity} does not hold: {_told(done)}")
    return _parse(text, name), identity


def _check_form(signature: bytes, name: str) -> None:
    """ssh-keygen passes over spaces, and over what follows: here every byte counts."""
    body = signature.removeprefix(_BEGIN).removesuffix(_END)
    try:
        blob = base64.b64decode(body.replace(b"\n", b""), validate=True)
    except binascii.Error:
        blob = b""
    text = base64.b64encode(blob)
    lines = [text[at : at + _WIDTH] + b"\n" for at in range(0, len(text), _WIDTH)]
    if not blob or signature != _BEGIN + b"".join(lines) + _END:
        raise EvidenceError(f"{name}: the signature is not as ssh-keygen writes it")


def _parse(text: bytes, name: str) -> Statement:
    """A statement whose signature holds, still read strictly: keys sign what they are given."""
    try:
        fields = json.loads(text)
        statement = Statement(**fields)
        same = statement.to_bytes() == text
    except (ValueError, TypeError):
        raise EvidenceError(f"{name}: what was signed is not a statement of ours") from None
    if statement.version != VERSION:
        raise EvidenceError(
            f"{name}: it is of version {statement.version!r}, accepted: {VERSION}; "
            "a newer pytest-applesilicon may have signed it"
        )
    hashes = (statement.commit, statement.tree, statement.report_sha256)
    if not same or not all(isinstance(one, str) and _HASH.fullmatch(one) for one in hashes):
        raise EvidenceError(f"{name}: what was signed is not a statement of ours")
    return statement


def _ssh_keygen(arguments: list[str], text: bytes) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise EvidenceError("ssh-keygen is not installed; it comes with OpenSSH 8.2 and later")
    try:
        return subprocess.run(
            [program, "-Y", *arguments],
            input=text,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EvidenceError(f"ssh-keygen: {error}") from None


def _told(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr or done.stdout).decode(errors="replace").split("\n")
    return next((line.strip() for line in lines if line.strip()), f"status {done.returncode}")
