use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use model::Release;
use release::{ClientBuild, STAMP_BYTES_MAX};

/// The release of this program: stamped into it when it was packaged, that of the build otherwise.
pub fn release() -> Release {
    stamped().unwrap_or_else(|| {
        env!("CARGO_PKG_VERSION").parse().unwrap_or_else(|_| Release::new(0, 0, 0, 0))
    })
}

/// The release that was stamped into this program; none in one that was built by hand.
pub fn stamped() -> Option<Release> {
    let mut program = File::open(std::env::current_exe().ok()?).ok()?;
    let len = program.metadata().ok()?.len();
    program.seek(SeekFrom::Start(len.saturating_sub(STAMP_BYTES_MAX as u64))).ok()?;
    let mut tail = Vec::new();
    program.read_to_end(&mut tail).ok()?;
    ClientBuild::read_stamp(&tail).map(|(build, _)| build.release())
}

/// The release as text, read once.
pub fn text() -> &'static str {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| release().to_string());
    &TEXT
}
