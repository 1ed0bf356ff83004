//! TLS, identity proof, multiplexing and reconnecting between agents, consoles and sites.
