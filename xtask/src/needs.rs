//! The one list of what builds and tests need besides Rust itself.

/// Compiler target of the agent and the console on Linux: runs on every distribution.
pub const MUSL: &str = "x86_64-unknown-linux-musl";

/// Compiler target of the agent and the console on Windows.
pub const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// Who needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To compile all programs.
    Build,
    /// To run the tests.
    Test,
    /// To check what is built for other systems.
    Check,
    /// To measure against others.
    Bench,
    /// To look for inputs that break a decoder.
    Fuzz,
}

impl Purpose {
    /// What nearly everybody needs.
    pub const USUAL: &[Self] = &[Self::Build, Self::Test];
}

/// Something that is needed, and how set-up sees that it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Who needs it.
    pub purpose: Purpose,
    /// What is needed.
    pub what: What,
    /// What it is for, as set-up prints it.
    pub why: &'static str,
}

/// Where something comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A Debian package.
    Debian {
        /// Its name.
        package: &'static str,
        /// It is there when a program of this name is on the search path or in `/usr/sbin`.
        program: &'static str,
    },
    /// A target of the Rust compiler, from rustup. Where it is not to be had, what needs it is
    /// left out, and set-up says so.
    Target(&'static str),
    /// A program from the crates registry, into the target folder.
    Cargo {
        /// The crate.
        package: &'static str,
        /// The program that it installs.
        program: &'static str,
    },
    /// Python packages in a virtual environment of their own, in the target folder.
    Python {
        /// Name of the environment.
        venv: &'static str,
        /// The file of the workspace that lists what pip installs.
        requirements: &'static str,
    },
}

const fn debian(
    purpose: Purpose,
    package: &'static str,
    program: &'static str,
    why: &'static str,
) -> Need {
    Need { purpose, what: What::Debian { package, program }, why }
}

/// Everything.
pub const NEEDS: &[Need] = &[
    debian(Purpose::Build, "gcc", "gcc", "compiles aws-lc, SQLite and zstd"),
    debian(Purpose::Build, "libc6-dev", "/usr/include/stdio.h", "headers for them"),
    debian(Purpose::Build, "musl-tools", "musl-gcc", "static agent and console for Linux"),
    Need {
        purpose: Purpose::Build,
        what: What::Target(MUSL),
        why: "static agent and console for Linux",
    },
    debian(Purpose::Test, "strace", "strace", "kills a process at its n-th system call"),
    debian(Purpose::Test, "e2fsprogs", "mkfs.ext4", "a file system whose power is cut"),
    debian(Purpose::Test, "mount", "losetup", "a file system whose power is cut"),
    debian(Purpose::Test, "zstd", "zstd", "packages as public tools see them"),
    debian(
        Purpose::Test,
        "python3-venv",
        // Others share its wheels; none of its own files says that it is there.
        "/var/lib/dpkg/info/python3-venv.list",
        "python-tuf as second opinion",
    ),
    debian(Purpose::Test, "curl", "curl", "pages and downloads as others see them"),
    debian(Purpose::Test, "chromium", "chromium", "pages as people see them"),
    debian(Purpose::Test, "chromium-driver", "chromedriver", "clicks and types in a browser"),
    Need {
        purpose: Purpose::Test,
        what: What::Cargo { package: "cargo-nextest", program: "cargo-nextest" },
        why: "runs each test in a process of its own",
    },
    Need {
        purpose: Purpose::Test,
        what: What::Python { venv: "tuf", requirements: "tests/tuf/requirements.txt" },
        why: "python-tuf as second opinion",
    },
    debian(
        Purpose::Check,
        "gcc-mingw-w64-x86-64",
        "x86_64-w64-mingw32-gcc",
        "agent and console for Windows",
    ),
    Need {
        purpose: Purpose::Check,
        what: What::Target(WINDOWS),
        why: "agent and console for Windows",
    },
    debian(Purpose::Bench, "openssh-client", "ssh", "an anchor: sessions through it"),
    debian(Purpose::Bench, "openssh-server", "sshd", "an anchor: sessions through it"),
    debian(Purpose::Bench, "nginx-core", "nginx", "an anchor: what its reload drops"),
    debian(
        Purpose::Bench,
        "libnginx-mod-stream",
        "/usr/lib/nginx/modules/ngx_stream_module.so",
        "an anchor: what its reload drops",
    ),
    debian(Purpose::Bench, "haproxy", "haproxy", "an anchor: what its reload drops"),
    debian(Purpose::Fuzz, "g++", "g++", "compiles libFuzzer"),
    Need {
        purpose: Purpose::Fuzz,
        what: What::Cargo { package: "cargo-fuzz", program: "cargo-fuzz" },
        why: "drives libFuzzer",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_listed_twice() {
        for (i, need) in NEEDS.iter().enumerate() {
            assert!(NEEDS[..i].iter().all(|other| other.what != need.what), "{need:?}");
        }
    }
}
