//! The agent on an endpoint: Jump Client.

fn main() {}
