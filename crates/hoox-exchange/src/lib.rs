//! Venues without I/O: domain to HTTP request, bytes to domain.
