//! Holding an answer against what is expected of it.

use serde_json::Value;

/// How an answer is held against what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// What is expected is there; an object may have more members.
    Subset,
    /// Equal.
    Exact,
    /// What is expected is there with values of the same kinds; a list's first element stands for all.
    Shape,
}

/// Longest value in a message, in characters.
const SHOWN: usize = 160;

/// Where an answer is not as expected, as `$.path: expected …, got …`, in the order of the expectation.
///
/// In [`Match::Subset`] and [`Match::Shape`], an object or a list that is expected where the answer has a
/// text is held against the JSON in that text: the body of an answer to API Gateway is such a text.
#[must_use]
pub fn differences(expected: &Value, got: &Value, how: Match) -> Vec<String> {
    let mut found = Vec::new();
    compare(expected, got, how, "$", &mut found);
    found
}

fn compare(expected: &Value, got: &Value, how: Match, path: &str, found: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (key, value) in wanted {
                let path = member(path, key);
                match there.get(key) {
                    Some(other) => compare(value, other, how, &path, found),
                    None => found.push(format!("{path}: expected {}, got nothing", shown(value, how))),
                }
            }
            if how == Match::Exact {
                for (key, value) in there.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                    found.push(format!("{}: expected nothing, got {}", member(path, key), shown(value, how)));
                }
            }
        }
        (Value::Array(wanted), Value::Array(there)) if how == Match::Shape => {
            if let Some(first) = wanted.first() {
                for (index, value) in there.iter().enumerate() {
                    compare(first, value, how, &format!("{path}[{index}]"), found);
                }
            }
        }
        (Value::Array(wanted), Value::Array(there)) => {
            for (index, (value, other)) in wanted.iter().zip(there).enumerate() {
                compare(value, other, how, &format!("{path}[{index}]"), found);
            }
            if wanted.len() != there.len() {
                found.push(format!("{path}: expected {} elements, got {}", wanted.len(), there.len()));
            }
        }
        (Value::Object(_) | Value::Array(_), Value::String(text)) if how != Match::Exact => {
            match serde_json::from_str::<Value>(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => {
                    compare(expected, &inner, how, path, found)
                }
                _ => found.push(message(expected, got, how, path)),
            }
        }
        _ if how == Match::Shape => {
            if kind(expected) != kind(got) {
                found.push(message(expected, got, how, path));
            }
        }
        (Value::Number(wanted), Value::Number(there)) => {
            // 1 and 1.0 are the same number in JSON.
            let of_floats = (wanted.is_f64() || there.is_f64()) && wanted.as_f64() == there.as_f64();
            if wanted != there && !of_floats {
                found.push(message(expected, got, how, path));
            }
        }
        _ if expected == got => {}
        _ => found.push(message(expected, got, how, path)),
    }
}

fn message(expected: &Value, got: &Value, how: Match, path: &str) -> String {
    let got = if how == Match::Shape {
        format!("{} {}", kind(got), shown(got, Match::Exact))
    } else {
        shown(got, how)
    };
    format!("{path}: expected {}, got {got}", shown(expected, how))
}

fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c == '_' || c == '-' || c.is_alphanumeric());
    if plain { format!("{path}.{key}") } else { format!("{path}[{}]", Value::from(key)) }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn shown(value: &Value, how: Match) -> String {
    if how == Match::Shape {
        return kind(value).to_owned();
    }
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}… ({} characters)", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(expected: &Value, got: &Value, how: Match, lines: &[&str]) {
        assert_eq!(differences(expected, got, how), lines, "{expected} and {got}");
    }

    #[test]
    fn subset() {
        let got =
            json!({"statusCode": 200, "headers": {"a b": 1, "c": [1, 2]}, "body": "{\"n\": 1.0, \"m\": 2}"});
        check(&json!({}), &got, Match::Subset, &[]);
        check(&json!({"statusCode": 200.0, "body": {"n": 1}}), &got, Match::Subset, &[]);
        check(
            &json!({"statusCode": 500, "headers": {"a b": "1", "c": [1]}, "body": {"m": 3}, "x": null}),
            &got,
            Match::Subset,
            &[
                "$.body.m: expected 3, got 2",
                "$.headers[\"a b\"]: expected \"1\", got 1",
                "$.headers.c: expected 1 elements, got 2",
                "$.statusCode: expected 500, got 200",
                "$.x: expected null, got nothing",
            ],
        );
        check(
            &json!({"a": 1}),
            &json!("no object"),
            Match::Subset,
            &["$: expected {\"a\":1}, got \"no object\""],
        );
        // Integers beyond the precision of floats are not mixed up.
        let (one, other) = (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64));
        check(&one, &one, Match::Subset, &[]);
        assert_eq!(differences(&one, &other, Match::Subset).len(), 1);
    }

    #[test]
    fn exact() {
        check(&json!({"a": [1, {}]}), &json!({"a": [1, {}]}), Match::Exact, &[]);
        check(
            &json!({"a": 1}),
            &json!({"a": 1, "b": null}),
            Match::Exact,
            &["$.b: expected nothing, got null"],
        );
        check(&json!({"b": {}}), &json!({"b": "{}"}), Match::Exact, &["$.b: expected {}, got \"{}\""]);
    }

    #[test]
    fn shape() {
        let expected = json!({"items": [{"id": "x", "n": 1}], "next": null});
        check(&expected, &json!({"items": [], "next": null, "more": 1}), Match::Shape, &[]);
        check(
            &expected,
            &json!({"items": [{"id": "a", "n": 2.5}, {"id": 3}], "next": "y"}),
            Match::Shape,
            &[
                "$.items[1].id: expected a text, got a number 3",
                "$.items[1].n: expected a number, got nothing",
                "$.next: expected null, got a text \"y\"",
            ],
        );
    }

    #[test]
    fn long_values_are_cut() {
        let [line] = &differences(&json!("a"), &json!("b".repeat(1000)), Match::Exact)[..] else { panic!() };
        assert!(line.len() < 250 && line.ends_with("… (1002 characters)"), "{line}");
    }
}
