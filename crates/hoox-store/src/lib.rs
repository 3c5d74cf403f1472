//! D1 schema, migrations and typed statements.
