//! The pages of /appliance as values.
