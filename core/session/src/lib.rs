//! Session frames, offsets, windows, resume, tickets and the recording chain.
