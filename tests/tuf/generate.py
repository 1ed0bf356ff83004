"""Writes one directory per scenario with its first root and the repository of each step.

usage: generate.py OUT

OUT/SCENARIO/root.json            what the client trusts at first
OUT/SCENARIO/N/{metadata,targets} the repository as it stands at step N

The scenarios and what a client must answer stand in `adapters/tuf-client/tests/attacks.rs`.
"""

import hashlib
import sys
from pathlib import Path

from repo import EXPIRED, SOON, Repo, alias, edit_file, sign_as, signer, twice
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import MetaFile, Metadata, Role

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


def usual(out: Path, **options) -> Repo:
    """A repository with a top-level target and a delegated one."""
    repo = Repo(out, **options)
    repo.add("a.txt", b"content of a")
    repo.delegate("base", ["base/*"])
    repo.add("base/b.pkg", b"content of b", role="base")
    return repo


def next_all(repo: Repo) -> None:
    repo.bump("targets", "base", "snapshot", "timestamp")


@scenario
def plain(out):
    usual(out).write()


@scenario
def update(out):
    repo = usual(out)
    repo.write()
    repo.add("a.txt", b"newer content of a")
    next_all(repo)
    repo.write()


@scenario
def not_consistent(out):
    usual(out, consistent=False).write()


@scenario
def other_keys(out):
    repo = Repo(out)
    for role, one in {
        "timestamp": CryptoSigner.generate_ecdsa(),
        "snapshot": CryptoSigner.generate_rsa(),
        "targets": CryptoSigner.generate_ecdsa(),
    }.items():
        repo.rotate(role)
        repo.root.revoke_key(repo.signers[role][0].public_key.keyid, role)
        repo.signers[role] = [one]
        repo.root.add_key(one.public_key, role)
    repo.publish_root()
    repo.add("a.txt", b"content of a")
    repo.write()


# Rollback


@scenario
def rollback_timestamp(out):
    repo = usual(out)
    repo.bump("timestamp")
    repo.write()
    repo.versions["timestamp"] = 1
    repo.write()


@scenario
def rollback_snapshot(out):
    repo = usual(out)
    repo.bump("snapshot")
    repo.write()
    repo.versions["snapshot"] = 1
    repo.bump("timestamp")
    repo.write()


@scenario
def rollback_targets(out):
    repo = usual(out)
    repo.bump("targets")
    repo.write()
    repo.versions["targets"] = 1
    repo.bump("snapshot", "timestamp")
    repo.write()


@scenario
def rollback_delegated(out):
    repo = usual(out)
    repo.bump("base")
    repo.write()
    repo.versions["base"] = 1
    repo.bump("snapshot", "timestamp")
    repo.write()


@scenario
def vanished(out):
    repo = usual(out)
    repo.write()
    repo.unnamed.add("base.json")
    repo.bump("snapshot", "timestamp")
    repo.write()


# Freeze and expiry: the tests live on 2030-06-01, and for the end of `freeze` on 2030-07-01


@scenario
def freeze(out):
    repo = usual(out)
    repo.expires["timestamp"] = SOON
    repo.write()
    repo.write()


def expired(role):
    def make(out):
        repo = usual(out)
        repo.write()
        repo.expires[role] = EXPIRED
        if role == "root":
            repo.publish_root()
        else:
            next_all(repo)
        repo.write()

    SCENARIOS[f"expired-{role}"] = make


for one in ("root", "timestamp", "snapshot", "targets", "base"):
    expired(one)


# Mix-and-match: files that are well signed and do not belong together


def mixed(role):
    def make(out):
        repo = usual(out)
        first = repo.write()
        old = (first / "metadata" / f"1.{role}.json").read_bytes()
        next_all(repo)

        def edit(name, value):
            if name == "files":
                value[f"2.{role}.json"] = old
            return value

        repo.write(edit)

    SCENARIOS[f"mixed-{role}"] = make


for one in ("snapshot", "targets", "base"):
    mixed(one)


def mixed_versions_only(role):
    """The same where nothing but versions is said."""

    def make(out):
        repo = usual(out)

        def bare(name, value):
            if name == "meta":
                return {k: MetaFile(v.version) for k, v in value.items()}
            if name == "snapshot_meta":
                return MetaFile(value.version)
            return value

        first = repo.write(bare)
        old = (first / "metadata" / f"1.{role}.json").read_bytes()
        next_all(repo)

        def edit(name, value):
            if name == "files":
                value[f"2.{role}.json"] = old
            return bare(name, value)

        repo.write(edit)

    SCENARIOS[f"mixed-version-{role}"] = make


for one in ("snapshot", "targets", "base"):
    mixed_versions_only(one)


# Arbitrary software, wrong keys, thresholds


@scenario
def arbitrary_target(out):
    repo = usual(out)
    step = repo.write()
    for path in (step / "targets").glob("*.a.txt"):
        path.write_bytes(b"malice of A!")
    for path in (step / "targets" / "base").glob("*.b.pkg"):
        path.write_bytes(b"malice that is longer than what was signed")


@scenario
def short_target(out):
    repo = usual(out)
    step = repo.write()
    for path in (step / "targets").glob("*.a.txt"):
        path.write_bytes(b"content")


def wrong_key(role):
    def make(out):
        repo = usual(out)
        repo.write()
        repo.signers[role] = [signer()]
        if role == "root":
            repo.publish_root()
        else:
            next_all(repo)
        repo.write()

    SCENARIOS[f"wrong-key-{role}"] = make


def key_of_another_role(role):
    """A key that the root knows, and that has no say here."""

    def make(out):
        repo = usual(out)
        repo.write()
        repo.signers[role] = repo.signers["targets" if role != "targets" else "timestamp"]
        next_all(repo)
        repo.write()

    SCENARIOS[f"key-of-another-role-{role}"] = make


def unsigned(role):
    def make(out):
        repo = usual(out)
        repo.write()
        repo.signers[role] = []
        next_all(repo)
        repo.write()

    SCENARIOS[f"unsigned-{role}"] = make


def wrong_key_right_id(role):
    def make(out):
        repo = usual(out)
        repo.write()
        keyid = repo.signers[role][0].public_key.keyid
        repo.signers[role] = []
        next_all(repo)
        repo.write(edit_file(f"{role}.json", lambda data: sign_as(data, signer(), keyid)))

    SCENARIOS[f"wrong-key-right-id-{role}"] = make


for one in ("timestamp", "snapshot", "targets", "base"):
    wrong_key(one)
    unsigned(one)
    wrong_key_right_id(one)
for one in ("timestamp", "snapshot", "targets"):
    key_of_another_role(one)
wrong_key("root")


@scenario
def threshold_met(out):
    repo = usual(out)
    repo.delegate("base", ["base/*"], threshold=2, keys=3)
    repo.signers["base"] = repo.signers["base"][1:]
    repo.write()


@scenario
def threshold_short(out):
    repo = usual(out)
    repo.delegate("base", ["base/*"], threshold=2, keys=3)
    repo.signers["base"] = repo.signers["base"][1:2]
    repo.write()


@scenario
def threshold_same_signature_twice(out):
    repo = usual(out)
    repo.delegate("base", ["base/*"], threshold=2, keys=3)
    repo.signers["base"] = repo.signers["base"][1:2]
    repo.write(edit_file("base.json", twice))


@scenario
def threshold_one_key_two_ids(out):
    repo = usual(out)
    repo.delegate("base", ["base/*"], threshold=2)
    delegations = repo.roles["targets"].delegations
    key = alias(repo.signers["base"][0], "another name")
    delegations.keys[key.keyid] = key
    delegations.roles["base"].keyids.append(key.keyid)
    one = repo.signers["base"][0]
    repo.write(edit_file("base.json", lambda data: sign_as(data, one, key.keyid)))


@scenario
def threshold_raised(out):
    """The top-level snapshot needs two keys from root 2 on, and gets one."""
    repo = usual(out)
    repo.write()
    second = signer()
    repo.root.add_key(second.public_key, "snapshot")
    repo.root.roles["snapshot"].threshold = 2
    repo.publish_root()
    repo.write()
    repo.signers["snapshot"].append(second)
    repo.bump("snapshot", "timestamp")
    repo.write()


@scenario
def another_type(out):
    """One key signs for all: only the type keeps the files apart."""
    repo = usual(out)
    for role in ("timestamp", "snapshot", "targets"):
        repo.rotate(role)
        repo.root.revoke_key(repo.signers[role][0].public_key.keyid, role)
        repo.signers[role] = repo.signers["root"]
        repo.root.add_key(repo.signers["root"][0].public_key, role)
    repo.publish_root()

    def edit(name, value):
        if name == "files":
            value["timestamp.json"] = value["1.snapshot.json"]
        return value

    repo.write(edit)


# Root rotation


@scenario
def root_in_order(out):
    repo = usual(out)
    repo.write()
    for _ in range(5):
        old = repo.rotate("root")
        repo.publish_root(old + repo.signers["root"])
    repo.rotate("targets")
    repo.publish_root()
    next_all(repo)
    repo.write()


@scenario
def root_gap(out):
    repo = usual(out)
    repo.write()
    repo.publish_root()
    repo.publish_root()

    def edit(name, value):
        if name == "files":
            del value["2.root.json"]
        return value

    repo.write(edit)


@scenario
def root_skipped(out):
    repo = usual(out)
    repo.write()
    repo.publish_root()
    repo.publish_root()
    repo.roots[1] = repo.roots[2]
    repo.write()


@scenario
def root_again(out):
    repo = usual(out)
    repo.write()
    repo.roots.append(repo.roots[0])
    repo.write()


@scenario
def root_without_old_keys(out):
    repo = usual(out)
    repo.write()
    repo.rotate("root")
    repo.publish_root()
    repo.write()


@scenario
def root_without_new_keys(out):
    repo = usual(out)
    repo.write()
    old = repo.rotate("root")
    repo.publish_root(old)
    repo.write()


@scenario
def fast_forward_timestamp(out):
    repo = usual(out)
    repo.versions["timestamp"] = 2**31
    repo.write()
    repo.rotate("timestamp")
    repo.publish_root()
    repo.versions["timestamp"] = 2
    repo.write()


@scenario
def fast_forward_snapshot(out):
    repo = usual(out)
    repo.versions["snapshot"] = 2**31
    repo.versions["targets"] = 2**31
    repo.write()
    repo.rotate("snapshot")
    repo.rotate("timestamp")
    repo.publish_root()
    repo.versions.update(snapshot=2, targets=2)
    repo.bump("timestamp")
    repo.write()


@scenario
def fast_forward_without_rotation(out):
    repo = usual(out)
    repo.versions["timestamp"] = 2**31
    repo.write()
    repo.publish_root()
    repo.versions["timestamp"] = 2
    repo.write()


# Delegations


@scenario
def order_first_wins(out):
    repo = Repo(out)
    repo.delegate("first", ["x/*"])
    repo.delegate("second", ["x/*"])
    repo.add("x/t", b"of the second", role="second")
    repo.add("x/t", b"of the first", role="first")
    repo.write()


@scenario
def order_depth_first(out):
    """first → deep is asked before second."""
    repo = Repo(out)
    repo.delegate("first", ["x/*"])
    repo.delegate("second", ["x/*"])
    repo.delegate("deep", ["x/*"], parent="first")
    repo.add("x/t", b"of the second", role="second")
    repo.add("x/t", b"of the deep", role="deep")
    repo.write()


@scenario
def terminating(out):
    repo = Repo(out)
    repo.delegate("first", ["x/*"], terminating=True)
    repo.delegate("second", ["x/*", "y/*"])
    repo.add("x/t", b"of the second", role="second")
    repo.add("y/t", b"of the second", role="second")
    repo.write()


@scenario
def terminating_below(out):
    """What a role below the first says ends the search of the second too."""
    repo = Repo(out)
    repo.delegate("first", ["x/*"])
    repo.delegate("second", ["x/*"])
    repo.delegate("deep", ["x/*"], terminating=True, parent="first")
    repo.add("x/t", b"of the second", role="second")
    repo.write()


@scenario
def paths(out):
    repo = Repo(out)
    repo.delegate("base", ["base/*", "ex?ct/[ab].pkg"])
    for name in ("base/deep/t", "site/t", "base", "exact/c.pkg"):
        repo.add(name, b"not its business", role="base")
    repo.add("exact/b.pkg", b"its business", role="base")
    repo.write()


@scenario
def hash_prefixes(out):
    repo = Repo(out)
    digest = hashlib.sha256(b"some/t").hexdigest()
    other = hashlib.sha256(b"other/t").hexdigest()
    repo.delegate("bin", prefixes=[digest[:3]])
    repo.add("some/t", b"in the bin", role="bin")
    if not other.startswith(digest[:3]):
        repo.add("other/t", b"not in the bin", role="bin")
    repo.write()


@scenario
def cycle(out):
    repo = Repo(out)
    repo.delegate("one", ["*"])
    repo.delegate("two", ["*"], parent="one")
    keys = repo.signers["one"]
    repo.delegate("one", ["*"], parent="two")
    repo.signers["one"] += keys
    repo.add("t", b"in the cycle", role="two")
    repo.write()


def chain(name, length):
    def make(out):
        repo = Repo(out)
        parent = "targets"
        for number in range(length):
            repo.delegate(f"role{number}", ["*"], parent=parent)
            parent = f"role{number}"
        repo.add("t", b"at the end", role=parent)
        repo.write()

    SCENARIOS[name] = make


chain("chain-short", 10)
chain("chain-long", 40)


@scenario
def two_ways(out):
    """Two roles delegate to a third with different keys; only one of them is satisfied."""
    repo = Repo(out)
    repo.delegate("trusting", ["x/*"])
    repo.delegate("wary", ["y/*"])
    repo.delegate("shared", ["x/*"], parent="trusting")
    keys = repo.signers["shared"]
    repo.delegate("shared", ["y/*"], parent="wary")
    repo.signers["shared"] = keys
    repo.add("x/t", b"by the trusting", role="shared")
    repo.add("y/t", b"by the wary", role="shared")
    repo.write()


@scenario
def not_in_snapshot(out):
    repo = usual(out)
    repo.unnamed.add("base.json")
    repo.write()


# What a client must bear


@scenario
def unknown_fields(out):
    repo = usual(out)
    odd = {"x-later": {"deep": [1, None, True, "é\n\"\\"], "": -5}}
    repo.extra = {role: odd for role in ("root", "timestamp", "snapshot", "targets", "base")}
    repo.root.roles["root"].unrecognized_fields["more"] = 1
    repo.root.roles["later"] = Role([], 1)
    for key in repo.root.keys.values():
        key.unrecognized_fields["keyid_hash_algorithms"] = ["sha256", "md5"]
    repo.publish_root()
    repo.roles["targets"].targets["a.txt"].unrecognized_fields["custom"] = {"é": [1]}

    def edit(name, value):
        if name == "snapshot_meta":
            value.unrecognized_fields["more"] = "yes"
        return value

    repo.write(edit)


@scenario
def odd_names(out):
    repo = Repo(out)
    role = "../röle ?#%2F/x"
    repo.delegate(role, ["odd */*", "..", "../*"])
    repo.add("odd dir/na me?#%é+&;=@:.pkg", b"odd content", role=role)
    repo.add("../evil", b"evil", role=role)
    repo.write()


@scenario
def wrong_length(out):
    repo = usual(out)

    def edit(name, value):
        if name == "snapshot_meta":
            value.length -= 1
        return value

    repo.write(edit)


@scenario
def wrong_length_longer(out):
    repo = usual(out)

    def edit(name, value):
        if name == "snapshot_meta":
            value.length += 1
        return value

    repo.write(edit)


@scenario
def wrong_hash(out):
    repo = usual(out)

    def edit(name, value):
        if name == "meta":
            value["targets.json"].hashes["sha256"] = "0" * 64
        return value

    repo.write(edit)


@scenario
def unknown_hash(out):
    repo = usual(out)

    def edit(name, value):
        if name == "meta":
            value["targets.json"].hashes = {"whirlpool": "0" * 64}
        return value

    repo.write(edit)


@scenario
def missing(out):
    repo = usual(out)
    step = repo.write()
    (step / "metadata" / "1.targets.json").unlink()


@scenario
def garbage(out):
    repo = usual(out)
    step = repo.write()
    (step / "metadata" / "timestamp.json").write_bytes(b"<html>Welcome to this hotel</html>")


def main() -> None:
    out = Path(sys.argv[1])
    for name, make in SCENARIOS.items():
        make(out / name)
        steps = sorted(path for path in (out / name).iterdir() if path.is_dir())
        assert steps, name
        Metadata.from_bytes((out / name / "root.json").read_bytes())


if __name__ == "__main__":
    main()
