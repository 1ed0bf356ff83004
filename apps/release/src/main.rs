//! Makes keys, builds, signs and publishes packages.

fn main() {}
