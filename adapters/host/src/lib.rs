//! The appliance's machine: slots on disk, journal file, generations as processes, sockets, clock.
