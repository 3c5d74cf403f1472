//! Contracts between workers and the registry of bindings, vars and secrets.
