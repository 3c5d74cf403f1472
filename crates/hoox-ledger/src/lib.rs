//! A signal's life as a pure state machine over ports.
