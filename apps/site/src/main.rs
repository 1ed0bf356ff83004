//! The site software: operators, Jump Clients, sessions, recordings.

fn main() {}
