//! Every address of a page as a type: a link that leads nowhere does not compile.
//!
//! `ROUTE` is the pattern for the router; `Display` writes the address, its parts percent-encoded.

use std::fmt;

pub mod appliance;
pub mod site;
pub mod update;

/// Declares URL types: `Name = "/path";` or `Name(field: Type) = "/path/{field}";`.
macro_rules! urls {
    ($($(#[$doc:meta])* $name:ident $(($field:ident : $type:ty))? = $route:literal $(? $query:ident)?;)*) => {
        $($crate::url::one_url!($(#[$doc])* $name $(($field : $type))? = $route $(? $query)?);)*

        #[cfg(test)]
        pub(crate) const ROUTES: &[&str] = &[$(concat!($route $(, "?", stringify!($query))?)),*];
    };
}

macro_rules! one_url {
    ($(#[$doc:meta])* $name:ident = $route:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl $name {
            /// The pattern for the router.
            pub const ROUTE: &'static str = $route;
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($route)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident($field:ident : $type:ty) = $route:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub $type);

        impl $name {
            /// The pattern for the router.
            pub const ROUTE: &'static str = $route;
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let value = self.0.to_string();
                let hole = concat!("{", stringify!($field), "}");
                let (before, after) = $route.split_once(hole).unwrap_or(($route, ""));
                write!(f, "{before}{}{after}", $crate::url::Segment(&value))
            }
        }
    };
    ($(#[$doc:meta])* $name:ident($field:ident : $type:ty) = $route:literal ? $query:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub $type);

        impl $name {
            /// The pattern for the router, without the query.
            pub const ROUTE: &'static str = $route;
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let value = self.0.to_string();
                write!(f, "{}?{}={}", $route, stringify!($query), $crate::url::Segment(&value))
            }
        }
    };
}

use {one_url, urls};

/// Text as part of a path or query: all but unreserved characters become `%XX`.
pub(crate) struct Segment<'a>(pub &'a str);

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// The text that [`Segment`] wrote; `None` when it did not.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address_are_encoded() {
        assert_eq!(
            appliance::UserRemove("a/b c?ü".into()).to_string(),
            "/appliance/users/a%2Fb%20c%3F%C3%BC/remove"
        );
        assert_eq!(
            appliance::Install("site/site-1.1.0-r2-x86_64.pkg".into()).to_string(),
            "/appliance/updates/install?target=site%2Fsite-1.1.0-r2-x86_64.pkg"
        );
        assert_eq!(decode("a%2Fb%20c%3F%C3%BC").as_deref(), Some("a/b c?ü"));
        let fields = vec![("actor", "a&b".to_owned()), ("about", String::new()), ("x", "y".into())];
        assert_eq!(site::With(site::Audit, fields).to_string(), "/login/audit?actor=a%26b&x=y");
        let id = model::SessionId::from_bytes([7; 16]);
        assert_eq!(
            site::Session(id).to_string(),
            "/login/sessions/07070707-0707-0707-0707-070707070707"
        );
    }

    #[test]
    fn every_address_is_below_its_interface_and_there_once() {
        let all =
            [(site::ROUTES, "/login"), (appliance::ROUTES, "/appliance"), (update::ROUTES, "/")];
        for (routes, prefix) in all {
            for (i, route) in routes.iter().enumerate() {
                assert!(route.starts_with(prefix), "{route}");
                assert!(!routes[..i].contains(route), "{route} is there twice");
            }
        }
    }
}
