use model::{Release, Timestamp};
use serde::{Deserialize, Serialize};

use crate::hostname::Hostname;

/// What one site may use, and until when: the content of a license package.
///
/// It is signed as part of the package's manifest, bound to one hostname, and changes no software.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct License {
    /// The only site that it is for.
    pub hostname: Hostname,
    /// Operators who may work at the same time.
    pub users: u32,
    /// Endpoints that may be enrolled; none means any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<u32>,
    /// When it ends; none means never. Running sessions are not cut by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Until when new releases are offered; none means as long as the license.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_until: Option<Timestamp>,
}

/// Why a license does not apply here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// Made for another site.
    #[error(
        "the license is for {license}, and this site is {site}: ask your vendor for a license for {site}"
    )]
    OtherSite {
        /// Hostname in the license.
        license: Hostname,
        /// Hostname here.
        site: Hostname,
    },
    /// Its time is over.
    #[error("the license ended on {0}: ask your vendor for a new one")]
    Expired(Timestamp),
}

impl License {
    /// Whether it applies to this site now.
    ///
    /// # Errors
    /// Names the other site, or the moment it ended.
    pub fn check(&self, site: &Hostname, now: Timestamp) -> Result<(), LicenseError> {
        if &self.hostname != site {
            let (license, site) = (self.hostname.clone(), site.clone());
            return Err(LicenseError::OtherSite { license, site });
        }
        match self.expires {
            Some(expires) if expires <= now => Err(LicenseError::Expired(expires)),
            _ => Ok(()),
        }
    }
}

/// The license of an appliance as its base tells the site, in `license.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledLicense {
    /// The license package's release.
    pub release: Release,
    /// What it says.
    #[serde(flatten)]
    pub license: License,
}

/// Whether an installed license holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenseState {
    /// It does.
    Valid,
    /// Its time is over.
    Expired,
    /// It is for another site: the appliance's hostname was changed since.
    OtherSite,
}

impl InstalledLicense {
    /// Whether it holds for this site now.
    pub fn state(&self, site: &Hostname, now: Timestamp) -> LicenseState {
        match self.license.check(site, now) {
            Ok(()) => LicenseState::Valid,
            Err(LicenseError::Expired(_)) => LicenseState::Expired,
            Err(LicenseError::OtherSite { .. }) => LicenseState::OtherSite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_license_is_for_one_site_and_one_time() {
        let license = License {
            hostname: "access.example.com".parse().expect("a hostname"),
            users: 10,
            endpoints: None,
            expires: Some(Timestamp(1000)),
            maintenance_until: None,
        };
        let other = "other.example.com".parse().expect("a hostname");
        assert_eq!(license.check(&license.hostname, Timestamp(999)), Ok(()));
        assert_eq!(
            license.check(&license.hostname, Timestamp(1000)),
            Err(LicenseError::Expired(Timestamp(1000)))
        );
        assert!(matches!(license.check(&other, Timestamp(0)), Err(LicenseError::OtherSite { .. })));
    }

    #[test]
    fn what_the_base_writes_the_site_reads_and_says_whether_it_holds() {
        let text = r#"{"release":{"version":"1.0.0","revision":2},"hostname":"access.example.com","users":10,"expires":1000}"#;
        let license: InstalledLicense = serde_json::from_str(text).expect("a license");
        assert_eq!(serde_json::to_string(&license).expect("JSON"), text);
        let (here, other) =
            (license.license.hostname.clone(), "other.example.com".parse().expect("a hostname"));
        assert_eq!(license.state(&here, Timestamp(999)), LicenseState::Valid);
        assert_eq!(license.state(&here, Timestamp(1000)), LicenseState::Expired);
        assert_eq!(license.state(&other, Timestamp(0)), LicenseState::OtherSite);
    }
}
