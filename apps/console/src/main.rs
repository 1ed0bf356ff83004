//! The access console and administration command line.

fn main() {}
