//! A light check of filter expressions: enough to notice one that was cut or badly quoted.

use crate::envelope::Failure;

/// Longest expression, bytes.
const LONGEST: usize = 4_096;

/// Whether brackets and quotes close, and anything is there at all.
pub(super) fn check(expression: &str) -> Result<(), Failure> {
    if expression.trim().is_empty() {
        return Err(invalid(
            expression,
            20_125,
            "the expression cannot be blank",
        ));
    }
    if expression.len() > LONGEST {
        let because = format!("the expression is longer than {LONGEST} bytes");
        return Err(invalid(expression, 20_127, &because));
    }
    match unbalanced(expression) {
        None => Ok(()),
        Some((column, problem)) => {
            let because = format!(
                "could not parse filter expression: Filter parsing error (1:{column}): {problem}"
            );
            Err(invalid(expression, 20_127, &because))
        }
    }
}

fn invalid(expression: &str, code: i64, because: &str) -> Failure {
    Failure::bad_request(
        code,
        format!("'{expression}' is not a valid value for expression because {because}"),
    )
}

/// The first place, counted from 1, where brackets or quotes go wrong, and how.
fn unbalanced(expression: &str) -> Option<(usize, &'static str)> {
    let mut open = Vec::new();
    let mut quoted_at = None;
    let mut escaped = false;
    for (index, byte) in expression.bytes().enumerate() {
        let column = index.saturating_add(1);
        if quoted_at.is_some() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted_at = None,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted_at = Some(column),
            b'(' => open.push((column, b')')),
            b'{' => open.push((column, b'}')),
            b'[' => open.push((column, b']')),
            b')' | b'}' | b']' if open.pop().map(|(_, closing)| closing) != Some(byte) => {
                return Some((column, "unrecognised input"));
            }
            _ => {}
        }
    }
    quoted_at
        .map(|column| (column, "missing ending quote"))
        .or_else(|| {
            open.last()
                .map(|(column, _)| (*column, "expected closing bracket"))
        })
}
