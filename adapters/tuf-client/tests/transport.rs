//! How the client bears a bad line.
extern crate sluis_tuf_client as tuf_client;

mod support;
