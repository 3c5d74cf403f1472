//! Who may send what: manifest, passkeys, address ranges, permissions.
