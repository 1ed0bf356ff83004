//! Stories of the whole product with real processes on real sockets: the fixture that starts and stops them.
