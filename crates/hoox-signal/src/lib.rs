//! Alert bytes to a validated signal, and its identity.
