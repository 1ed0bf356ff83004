//! The base software: holds the sockets, installs packages, supervises the site.

fn main() {}
