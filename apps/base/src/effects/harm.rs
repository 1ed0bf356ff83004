//! What a new version does to the machine around it while it is on trial.
//!
//! Noticed at once and not at the deadline: every moment of waiting makes it worse for the version that is to take
//! over again.

use std::time::Duration;

use crate::base::Base;
use crate::site::Generation;

/// How often disk and memory are looked at: a disk that takes 500 MiB a second loses less than what is left of it.
const LOOK: Duration = Duration::from_millis(100);
/// How often a version that serves is asked whether it lives, and how many questions it may leave open in a row; each
/// waits for five seconds.
const ASK: Duration = Duration::from_secs(1);
const SILENT_MAX: u32 = 2;
/// Less free disk than this means that the new version eats it: the preflight saw four times as much.
const DISK_LEFT_MIN: u64 = 64 << 20;

/// Waits until the generation harms the machine; answers how, for a person. Without harm it never ends.
pub async fn done(base: &Base, generation: &Generation) -> String {
    let most = base.config.limits.memory_max();
    loop {
        let disk = host::disk_free(&base.paths.data).ok().and_then(disk_harm);
        let memory = generation.memory().and_then(|taken| memory_harm(taken, most));
        if let Some(harm) = disk.or(memory) {
            return harm;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until the generation answers nothing any more; what it was handed stands still for as long.
pub async fn hangs(generation: &Generation) -> String {
    let mut silent = 0;
    loop {
        silent = if generation.status().await.is_ok() { 0 } else { silent + 1 };
        if silent == SILENT_MAX {
            return "hangs: it answers nothing".to_owned();
        }
        tokio::time::sleep(ASK).await;
    }
}

fn disk_harm(free: u64) -> Option<String> {
    (free < DISK_LEFT_MIN)
        .then(|| format!("ate the disk: only {} MiB of the disk are left", free >> 20))
}

fn memory_harm(taken: u64, most: u64) -> Option<String> {
    (taken > most).then(|| {
        let (taken, most) = (taken >> 20, most >> 20);
        format!("took {taken} MiB of memory, and a new version may take {most} MiB")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harm_begins_where_the_limit_ends() {
        assert_eq!(disk_harm(DISK_LEFT_MIN), None);
        let eaten = disk_harm(DISK_LEFT_MIN - 1).expect("too little is left");
        assert!(eaten.contains("only 63 MiB"), "{eaten}");
        assert_eq!(memory_harm(512 << 20, 512 << 20), None);
        let took = memory_harm(600 << 20, 512 << 20).expect("too much is taken");
        assert_eq!(took, "took 600 MiB of memory, and a new version may take 512 MiB");
    }
}
