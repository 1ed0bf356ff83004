//! The pages of /login as values.
