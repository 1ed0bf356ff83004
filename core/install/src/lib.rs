//! One appliance's installer as a pure state machine, with its journal's record format.
