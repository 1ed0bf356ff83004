//! The conformance command line of the TUF client.

fn main() {}
