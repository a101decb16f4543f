//! Answers as JSON, and questions from JSON.

use serde_json::{Map, Number, Value};

use crate::node::api::Tree;

/// A tree as JSON.
pub fn to_json(tree: &Tree) -> Value {
    match tree {
        Tree::Bool(value) => Value::Bool(*value),
        Tree::Int(value) => Value::Number(Number::from(*value)),
        Tree::Text(text) => Value::String(text.clone()),
        Tree::List(list) => Value::Array(list.iter().map(to_json).collect()),
        Tree::Map(fields) => Value::Object(fields.iter().map(|(key, value)| (key.clone(), to_json(value))).collect()),
    }
}

/// JSON as a tree. A null is an absent field; a number that is not whole is cut.
pub fn from_json(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::map(),
        Value::Bool(value) => Tree::Bool(*value),
        Value::Number(number) => {
            // A number beyond 2^63, or with a fraction, is none that owsync asks for.
            #[allow(clippy::cast_possible_truncation)]
            let cut = || number.as_f64().map_or(0, |float| float as i64);
            Tree::Int(number.as_i64().unwrap_or_else(cut))
        }
        Value::String(text) => Tree::Text(text.clone()),
        Value::Array(list) => Tree::List(list.iter().map(from_json).collect()),
        Value::Object(fields) => Tree::Map(from_fields(fields)),
    }
}

fn from_fields(fields: &Map<String, Value>) -> Vec<(String, Tree)> {
    fields.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), from_json(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_survives_json() {
        let tree = Tree::map().with("yes", true).with("n", 7u64).with("list", vec![Tree::from("a"), Tree::map()]);

        let again = from_json(&to_json(&tree));

        for key in ["yes", "n", "list"] {
            assert_eq!(again.get(key), tree.get(key));
        }
    }
}
