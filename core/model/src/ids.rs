use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id with these 16 bytes, as they travel on the wire.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes that travel on the wire.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

// Programs make them as UUID version 7, so that they sort by the time they were made.
ids! {
    /// One site: what agents and consoles belong to, the same on both appliances of a pair.
    SiteId;
    /// One appliance.
    ApplianceId;
    /// One agent on one endpoint.
    AgentId;
    /// One access console: one operator's device.
    ConsoleId;
    /// One operator or administrator account of a site.
    OperatorId;
    /// One session.
    SessionId;
    /// One try at installing one package on one appliance.
    AttemptId;
}
