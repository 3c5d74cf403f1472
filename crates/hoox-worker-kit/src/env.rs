//! Secrets of the environment.

use hoox_mesh::Problem;
use hoox_model::{Code, Secret};
use worker::Env;

/// Shortest key that counts as one.
const MIN_KEY: usize = 16;

/// A secret by its name.
///
/// # Errors
/// `NOT_CONFIGURED` where it is missing or too short to be a key. The value is never part of it.
pub fn secret(env: &Env, name: &str) -> Result<Secret, Problem> {
    let value = env
        .secret(name)
        .map(|value| value.to_string())
        .unwrap_or_default();
    if value.len() < MIN_KEY {
        let text =
            format!("the secret {name} is not set; set it with `npx wrangler secret put {name}`");
        return Err(Problem::new(Code::NotConfigured, text));
    }
    Ok(Secret::new(value))
}
