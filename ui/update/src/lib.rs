//! The pages of the update server as values.
