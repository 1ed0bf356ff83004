//! Canonical JSON: the one sequence of bytes that a signature covers.
//!
//! The rules are OLPC's, as The Update Framework uses them: keys in order of their code points, no
//! white space, only integers as numbers, and only `"` and `\` escaped in strings.

use serde::Serialize;
use serde_json::Value;

/// The value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no canonical form")]
pub struct NotCanonical(pub String);

/// The canonical bytes of anything that is JSON.
///
/// # Errors
/// A number that is no integer of 64 bits has no canonical form.
pub fn to_canonical<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    let value = serde_json::to_value(value).map_err(|error| NotCanonical(error.to_string()))?;
    canonical(&value)
}

/// The canonical bytes of a JSON value.
///
/// # Errors
/// A number that is no integer of 64 bits has no canonical form.
pub fn canonical(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(value) => out.extend(value.to_string().bytes()),
        Value::Number(number) if number.is_f64() => {
            return Err(NotCanonical(format!("the number {number}")));
        }
        Value::Number(number) => out.extend(number.to_string().bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            // Order of UTF-8 bytes is order of code points.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by(|a, b| a.0.cmp(b.0));
            out.push(b'{');
            for (n, (name, value)) in fields.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_escapes_and_keeps_the_rest() {
        let value = serde_json::json!({
            "b": [1, -2, 18_446_744_073_709_551_615_u64, true, null],
            "a": "line\nfeed, \"quote\", back\\slash, é",
            "A": {},
        });
        let text = String::from_utf8(canonical(&value).expect("canonical")).expect("UTF-8");
        let expected = concat!(
            r#"{"A":{},"a":"line"#,
            "\n",
            r#"feed, \"quote\", back\\slash, é","b":[1,-2,18446744073709551615,true,null]}"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn refuses_numbers_that_are_no_integers() {
        for text in ["1.5", "1e3", "1.0", "18446744073709551616"] {
            let value = serde_json::from_str(text).expect("JSON");
            assert!(canonical(&value).is_err(), "{text}");
        }
    }
}
