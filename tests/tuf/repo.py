"""A TUF repository made with python-tuf, with handles for doing wrong on purpose."""

import datetime
import json
from pathlib import Path

from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Root,
    Signature,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

EXPIRES = datetime.datetime(2030, 12, 31, tzinfo=datetime.timezone.utc)
EXPIRED = datetime.datetime(2029, 12, 31, tzinfo=datetime.timezone.utc)
SOON = datetime.datetime(2030, 6, 15, tzinfo=datetime.timezone.utc)
SERIALIZER = JSONSerializer()


def signer() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


class Repo:
    """Top-level roles with one key each; more is set by hand."""

    def __init__(self, out: Path, consistent: bool = True):
        self.out = out
        self.steps = 0
        top = ("root", "timestamp", "snapshot", "targets")
        self.signers = {role: [signer()] for role in top}
        self.versions = {role: 1 for role in top}
        self.expires = {role: EXPIRES for role in top}
        self.root = Root(1, None, EXPIRES, {}, None, consistent)
        for role in top:
            self.root.add_key(self.signers[role][0].public_key, role)
        # Targets roles by name, and who delegates to each.
        self.roles = {"targets": Targets(1, None, EXPIRES)}
        self.contents: dict[str, bytes] = {}
        self.unnamed: set[str] = set()
        self.extra: dict[str, dict] = {}
        self.roots: list[bytes] = []
        self.publish_root()
        out.mkdir(parents=True)
        (out / "root.json").write_bytes(self.roots[0])

    # Making it

    def publish_root(self, signers=None) -> None:
        self.root.version = len(self.roots) + 1
        self.root.expires = self.expires["root"]
        self.roots.append(self.sign(self.root, signers or self.signers["root"]))

    def rotate(self, role: str) -> list:
        """Gives a top-level role one new key instead of those it had; the old ones come back."""
        old = self.signers[role]
        for key in list(self.root.roles[role].keyids):
            self.root.revoke_key(key, role)
        self.signers[role] = [signer()]
        self.root.add_key(self.signers[role][0].public_key, role)
        return old

    def delegate(
        self,
        name: str,
        paths=None,
        prefixes=None,
        terminating=False,
        parent="targets",
        threshold=1,
        keys=1,
    ) -> None:
        self.signers[name] = [signer() for _ in range(keys)]
        self.versions[name] = 1
        self.expires[name] = EXPIRES
        self.roles.setdefault(name, Targets(1, None, EXPIRES))
        delegations = self.roles[parent].delegations
        if delegations is None:
            delegations = Delegations({}, {})
            self.roles[parent].delegations = delegations
        ids = []
        for one in self.signers[name]:
            delegations.keys[one.public_key.keyid] = one.public_key
            ids.append(one.public_key.keyid)
        assert delegations.roles is not None
        delegations.roles[name] = DelegatedRole(
            name, ids, threshold, terminating, paths, prefixes
        )

    def add(self, name: str, content: bytes = b"content", role="targets", path=None) -> None:
        self.roles[role].targets[name] = TargetFile.from_data(
            name, content, ["sha256", "sha512"]
        )
        self.contents[path or name] = content

    def bump(self, *roles: str) -> None:
        for role in roles:
            self.versions[role] += 1

    # Writing it

    def sign(self, signed, signers, role=None) -> bytes:
        signed.unrecognized_fields.update(self.extra.get(role or signed.type, {}))
        metadata = Metadata(signed)
        for one in signers:
            metadata.sign(one, append=True)
        return metadata.to_bytes(SERIALIZER)

    def write(self, edit=None) -> Path:
        """Writes the next step; `edit` may change the bytes of any file, by name."""
        step = self.out / str(self.steps)
        self.steps += 1
        files: dict[str, bytes] = {}
        meta: dict[str, MetaFile] = {}

        def file(role: str, signed) -> None:
            signed.version = self.versions[role]
            signed.expires = self.expires[role]
            data = self.sign(signed, self.signers[role], role)
            name = f"{role}.json"
            if edit:
                data = edit(name, data)
            consistent = self.root.consistent_snapshot and role != "timestamp"
            files[f"{signed.version}.{name}" if consistent else name] = data
            meta[name] = MetaFile.from_data(signed.version, data, ["sha256"])

        for role, targets in self.roles.items():
            file(role, targets)
        named = {k: v for k, v in meta.items() if k not in self.unnamed}
        if edit:
            named = edit("meta", named)
        file("snapshot", Snapshot(1, None, EXPIRES, named))
        snapshot = meta["snapshot.json"]
        if edit:
            snapshot = edit("snapshot_meta", snapshot)
        file("timestamp", Timestamp(1, None, EXPIRES, snapshot))
        for number, data in enumerate(self.roots, 1):
            files[f"{number}.root.json"] = data
        if edit:
            files = edit("files", files)
        for name, data in files.items():
            path = step / "metadata" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.write_targets(step / "targets")
        return step

    def write_targets(self, directory: Path) -> None:
        for role in self.roles.values():
            for name, target in role.targets.items():
                if ".." in name.split("/"):
                    continue
                folder, _, base = name.rpartition("/")
                if self.root.consistent_snapshot:
                    base = f"{target.hashes['sha256']}.{base}"
                path = directory / folder / base
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.contents[name])


def edit_file(wanted: str, change):
    """An edit of one role's file, before anything is said about it."""

    def edit(name, value):
        return change(value) if name == wanted else value

    return edit


def twice(data: bytes) -> bytes:
    """The same signature stands twice."""
    document = json.loads(data)
    document["signatures"] += document["signatures"]
    return json.dumps(document).encode()


def alias(one: CryptoSigner, keyid: str) -> Key:
    """The same key under another id."""
    key = one.public_key
    return SSlibKey(keyid, key.keytype, key.scheme, key.keyval)


def sign_as(data: bytes, one: CryptoSigner, keyid: str) -> bytes:
    """Adds the signature of a key under another id."""
    metadata = Metadata.from_bytes(data)
    signature = one.sign(metadata.signed_bytes)
    metadata.signatures[keyid] = Signature(keyid, signature.signature)
    return metadata.to_bytes(SERIALIZER)


__all__ = ["EXPIRED", "SOON", "Repo", "alias", "edit_file", "sign_as", "signer", "twice"]
