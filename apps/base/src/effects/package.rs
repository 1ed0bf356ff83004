//! From the update server's word to a package in its slot.

use install::{Fault, PackageRef};
use release::VerifiedPackage;

use crate::base::Shared;
use crate::trust;

/// Asks the update server anew and refreshes the metadata: only what both name is installed.
pub async fn confirm(base: &Shared, package: &PackageRef) -> Result<(), Fault> {
    let checked = trust::check(base).await?;
    let card = checked.packages.iter().find(|card| card.target == package.target);
    match card {
        Some(card) if card.sha256 == package.sha256 => {}
        _ => {
            return Err(Fault::host(
                format!("{package} is not offered any more"),
                "Check for updates again and choose from what is offered.",
            ));
        }
    }
    if let Some(blocked) = card.and_then(|card| card.blocked.as_ref()) {
        return Err(Fault::host(blocked.text.clone(), "Install what it needs first."));
    }
    Ok(())
}

/// Downloads the package, taking up what is there, and proves it.
pub async fn fetch(base: &Shared, package: &PackageRef) -> Result<VerifiedPackage, Fault> {
    trust::fetch(base, package).await
}

/// Writes the slot.
pub async fn unpack(base: &Shared, package: VerifiedPackage) -> Result<(), Fault> {
    let slots = base.slots.clone();
    let unpacked = tokio::task::spawn_blocking(move || slots.unpack(&package)).await;
    match unpacked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error).map(|s| format!(": {s}"));
            Err(Fault::host(
                format!("{error}{}", source.unwrap_or_default()),
                "Make room or mend the disk, then install again.",
            ))
        }
        Err(error) => Err(Fault::host(error.to_string(), "Install again.")),
    }
}
