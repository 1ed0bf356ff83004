//! Package manifest, dependency rules, update path, and the proof that a package was verified.
