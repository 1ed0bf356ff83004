//! The Update Framework as a pure client: metadata in, decisions out.
