//! Who may use whom, and whether ARCHITECTURE.md says so.
//!
//! The rules are those of “Invariants” in ARCHITECTURE.md. They hold for what a crate uses for its
//! tests as well: a test that reaches across a layer is a story, and stories live in `tests`.

use std::collections::BTreeSet;

use crate::workspace::Member;

/// The outside crates that compute and do nothing else, for use in `core`.
const PURE: &[&str] = &[
    "aws-lc-rs",
    "blake3",
    "bytes",
    "minicbor",
    "rustls-pki-types",
    "semver",
    "serde",
    "serde_json",
    "thiserror",
    "uuid",
];

/// Edges within `core`, besides those to `core/model`.
const CORE_EDGES: &[(&str, &str)] =
    &[("core/release", "core/tuf"), ("core/install", "core/release")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Core,
    Adapters,
    Ui,
    Apps,
    Tests,
    Xtask,
}

impl Layer {
    fn of(folder: &str) -> Option<Self> {
        match folder.split_once('/').map_or(folder, |(top, _)| top) {
            "core" => Some(Self::Core),
            "adapters" => Some(Self::Adapters),
            "ui" => Some(Self::Ui),
            "apps" => Some(Self::Apps),
            "tests" => Some(Self::Tests),
            "xtask" => Some(Self::Xtask),
            _ => None,
        }
    }
}

/// Everything that is wrong, a sentence each; empty when all is well.
pub fn problems(members: &[Member], architecture: &str) -> Vec<String> {
    let edges = members.iter().flat_map(|member| {
        let ours = member.uses.iter().filter_map(|used| edge_problem(&member.folder, used));
        ours.chain(outside_problems(member))
    });
    edges.chain(map_problems(members, architecture)).collect()
}

fn edge_problem(user: &str, used: &str) -> Option<String> {
    let (Some(above), Some(below)) = (Layer::of(user), Layer::of(used)) else {
        return Some(format!(
            "`{user}` uses `{used}`, and one of them lies in no layer. \
             Crates live in core, adapters, ui, apps, tests or xtask."
        ));
    };
    if user == used {
        // Its own tests with a feature switched on.
        return None;
    }
    let why = match (above, below) {
        (Layer::Tests | Layer::Xtask, _)
        | (Layer::Apps, Layer::Ui | Layer::Adapters | Layer::Core)
        | (Layer::Ui | Layer::Adapters, Layer::Core) => return None,
        (Layer::Core, Layer::Core) if core_edge(user, used) => return None,
        (Layer::Ui, Layer::Ui) if used == "ui/kit" => return None,
        (Layer::Core, Layer::Core) => {
            "In `core` everything may use `core/model`, `core/release` may use `core/tuf` and \
             `core/install` may use `core/release`. Let an app bring the two together."
        }
        (Layer::Core, _) => {
            "`core` is at the bottom and uses `core` only. Take the value as an argument."
        }
        (Layer::Adapters, Layer::Adapters) => {
            "An adapter never uses an adapter. Let an app bring the two together."
        }
        (Layer::Ui, Layer::Ui) => "Pages share only `ui/kit`. Move what they share there.",
        (Layer::Apps, Layer::Apps) => {
            "An app never uses an app: they talk by the protocols of docs/design/0002-processes.md. \
             Move what they share to `core` or to an adapter."
        }
        (_, Layer::Tests | Layer::Xtask) => "Only tests and xtask use `tests` and `xtask`.",
        (Layer::Ui | Layer::Adapters, _) => "`ui` and `adapters` use `core` only.",
    };
    Some(format!("`{user}` must not use `{used}`. {why}"))
}

fn core_edge(user: &str, used: &str) -> bool {
    used == "core/model" || CORE_EDGES.contains(&(user, used))
}

fn outside_problems(member: &Member) -> Vec<String> {
    if Layer::of(&member.folder) != Some(Layer::Core) {
        return vec![];
    }
    let impure = member.outside.iter().filter(|name| !PURE.contains(&name.as_str()));
    impure
        .map(|name| {
            format!(
                "`{}` uses the crate {name}, which is not known to be pure. Use it in an adapter; \
                 or, if it does no I/O, reads no clock and has no chance in it, add it to PURE in \
                 xtask/src/layers.rs.",
                member.folder
            )
        })
        .collect()
}

fn map_problems(members: &[Member], architecture: &str) -> Vec<String> {
    let mapped = code_map(architecture);
    let real: BTreeSet<&str> = members.iter().map(|member| member.folder.as_str()).collect();
    let missing = real.iter().filter(|folder| !mapped.contains(*folder)).map(|folder| {
        format!("`{folder}` has no line in the code map of ARCHITECTURE.md. Add one that says what it is.")
    });
    let stale = mapped.difference(&real).map(|folder| {
        format!("The code map of ARCHITECTURE.md names `{folder}`, and there is no such crate. Take the line out.")
    });
    missing.chain(stale).collect()
}

/// The folders in the first column of the table below “Code map”.
fn code_map(architecture: &str) -> BTreeSet<&str> {
    architecture
        .lines()
        .skip_while(|line| line.trim() != "## Code map")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(folder, _)| folder)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    fn member(folder: &str, uses: &[&str]) -> Member {
        Member {
            folder: folder.to_owned(),
            uses: uses.iter().map(|used| (*used).to_owned()).collect(),
            outside: vec![],
        }
    }

    fn edges(user: &str, uses: &[&str]) -> Vec<String> {
        let map = format!("## Code map\n| `{user}` | x |\n");
        problems(&[member(user, uses)], &map)
    }

    #[test]
    fn what_the_architecture_allows_passes() {
        for (user, used) in [
            ("apps/site", &["ui/site", "ui/kit", "adapters/store", "core/session"] as &[_]),
            ("ui/site", &["ui/kit", "core/model"]),
            ("ui/kit", &["core/model"]),
            ("adapters/host", &["core/install", "core/model"]),
            ("core/tuf", &["core/model", "core/tuf"]),
            ("core/release", &["core/model", "core/tuf"]),
            ("core/install", &["core/model", "core/release"]),
            ("tests/e2e", &["apps/site", "adapters/link", "core/model", "tests/fuzz"]),
            ("xtask", &["core/model"]),
        ] {
            assert_eq!(edges(user, used), Vec::<String>::new(), "{user}");
        }
    }

    #[test]
    fn what_the_architecture_forbids_is_named() {
        for (user, used, hint) in [
            ("core/tuf", "core/release", "In `core` everything may use"),
            ("core/session", "core/tuf", "In `core` everything may use"),
            ("core/model", "adapters/host", "at the bottom"),
            ("core/model", "xtask", "at the bottom"),
            ("adapters/host", "adapters/store", "never uses an adapter"),
            ("adapters/host", "ui/kit", "use `core` only"),
            ("ui/site", "ui/appliance", "share only `ui/kit`"),
            ("ui/site", "adapters/store", "use `core` only"),
            ("ui/site", "apps/site", "use `core` only"),
            ("apps/site", "apps/base", "never uses an app"),
            ("apps/site", "tests/e2e", "Only tests and xtask"),
            ("adapters/host", "tests/e2e", "Only tests and xtask"),
            ("apps/site", "plugins/x", "lies in no layer"),
        ] {
            let found = edges(user, &[used]);
            assert_eq!(found.len(), 1, "{user} → {used}: {found:?}");
            assert!(found[0].contains(user) && found[0].contains(used), "{found:?}");
            assert!(found[0].contains(hint), "{found:?}");
        }
    }

    #[test]
    fn core_takes_only_pure_crates_from_outside() {
        let mut user = member("core/tuf", &[]);
        user.outside = vec!["serde".to_owned(), "tokio".to_owned()];
        let found = outside_problems(&user);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("tokio"));
        user.folder = "adapters/host".to_owned();
        assert_eq!(outside_problems(&user), Vec::<String>::new());
    }

    #[test]
    fn the_code_map_names_every_crate_and_no_other() {
        let map = "`core/gone` in prose\n## Code map\n\n| crate | what |\n|---|---|\n\
                   | `core/model` | x |\n| `core/gone` | y |\n## Next\n| `core/tuf` | z |\n";
        let found =
            problems(&[member("core/model", &[]), member("core/tuf", &["core/model"])], map);
        assert_eq!(
            found,
            [
                "`core/tuf` has no line in the code map of ARCHITECTURE.md. Add one that says what it is.",
                "The code map of ARCHITECTURE.md names `core/gone`, and there is no such crate. Take the line out.",
            ]
        );
    }

    #[test]
    fn metadata_is_read_as_cargo_prints_it() {
        let text = r#"{
            "workspace_root": "/w", "target_directory": "/t", "version": 1,
            "packages": [
                {"name": "b", "manifest_path": "/w/apps/b/Cargo.toml", "dependencies": [
                    {"name": "a", "kind": null, "path": "/w/core/a", "source": null},
                    {"name": "e", "kind": "dev", "path": "/w/tests/e", "source": null},
                    {"name": "serde", "kind": null, "source": "registry"},
                    {"name": "insta", "kind": "dev", "source": "registry"},
                    {"name": "cc", "kind": "build", "source": "registry"}
                ]},
                {"name": "a", "manifest_path": "/w/core/a/Cargo.toml", "dependencies": []}
            ]
        }"#;
        let workspace = Workspace::parse(text).expect("good metadata");
        let expected = Member {
            folder: "apps/b".to_owned(),
            uses: vec!["core/a".to_owned(), "tests/e".to_owned()],
            outside: vec!["serde".to_owned(), "cc".to_owned()],
        };
        assert_eq!(workspace.members, [expected, member("core/a", &[])]);
        assert!(Workspace::parse("{}").is_err());
    }

    #[test]
    fn this_workspace_keeps_its_own_rules() {
        let workspace = Workspace::read().expect("cargo metadata");
        let architecture =
            std::fs::read_to_string(workspace.root.join("ARCHITECTURE.md")).expect("the map");
        assert_eq!(problems(&workspace.members, &architecture), Vec::<String>::new());
    }
}
