//! JSON documents, one to a line: each is parsed, changed and written again by `serde_json`.
//!
//! The documents have what such texts have: nested objects and lists, integers, decimal fractions, escapes and letters
//! beyond ASCII. Keys stand in alphabetical order and fractions have few digits, so that every library that writes
//! compact JSON writes the same bytes. A step is a group of documents.

use serde_json::{Value, json};

use super::Kernel;
use super::steps::{Steps, piece};
use crate::checksum::{seal_bytes, word};

/// The documents that all tasks change, each in its own way.
#[derive(Debug)]
pub(super) struct JsonWork {
    seed: u64,
    text: String,
    documents: usize,
}

impl Kernel for JsonWork {
    const NAME: &'static str = "json";
    const COST_US: (f64, f64) = (1.0, 0.009);

    /// As many documents as fit, at least one.
    fn prepare(input_bytes: usize, seed: u64) -> Self {
        let (mut text, mut documents) = (document(seed, 0), 1);
        loop {
            let next = document(seed, documents as u64);
            if text.len() + next.len() > input_bytes {
                break Self { seed, text, documents };
            }
            text.push_str(&next);
            documents += 1;
        }
    }

    fn run(&self, task: u32, steps: &mut impl Steps) -> Result<u64, String> {
        let mut written = Vec::new();
        let group = piece(self.documents, 1);
        for (index, line) in self.text.lines().enumerate() {
            if index % group == 0 {
                steps.begin();
            }
            transform(line, task, &mut written).map_err(|e| e.to_string())?;
        }
        Ok(seal_bytes(&written, self.seed, task))
    }

    fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Parses a document, adds the task to its id and to the count of each item, turns its tags around, says what all items cost
/// together, and writes it on a line of its own.
fn transform(line: &str, task: u32, written: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut document: Value = serde_json::from_str(line)?;
    let mut total = 0.0;
    if let Some(items) = document["items"].as_array_mut() {
        for item in items {
            let count = item["count"].as_u64().unwrap_or_default() + u64::from(task);
            total += count as f64 * item["price"].as_f64().unwrap_or_default();
            item["count"] = count.into();
        }
    }
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.reverse();
    }
    document["id"] = (document["id"].as_u64().unwrap_or_default() + u64::from(task)).into();
    // The last key in alphabetical order too.
    document["total"] = total.into();
    serde_json::to_writer(&mut *written, &document)?;
    written.push(b'\n');
    Ok(())
}

/// The `index`-th document and a line feed. Fractions are sixteenths, which are exact and short.
fn document(seed: u64, index: u64) -> String {
    let base = word(seed, index);
    let field = |number: u64| word(base, number);
    let items: Vec<Value> = (0..1 + base % 4)
        .map(|item| {
            let bits = field(8 + item);
            json!({
                "count": bits % 100,
                "name": format!("item-{:08x}", bits >> 32),
                "price": (bits >> 8) as u16 as f64 / 16.0,
            })
        })
        .collect();
    let document = json!({
        "active": field(0).is_multiple_of(2),
        "balance": (field(1) >> 44) as f64 / 16.0,
        "email": format!("user{}@example.org", field(2) % 100_000),
        "id": field(3) >> 24,
        "items": items,
        "name": format!("Zo\u{eb} \"{:04x}\"\n\u{2713}", field(4) >> 48),
        "note": null,
        "tags": [format!("t{}", field(5) % 100), format!("t{}", field(6) % 100), "end"],
    });
    format!("{document}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_changed_as_documented() {
        let line = r#"{"active":true,"id":7,"items":[{"count":2,"name":"a","price":1.5},{"count":0,"name":"b","price":10.0}],"tags":["x","y"]}"#;
        let mut written = Vec::new();
        transform(line, 3, &mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            concat!(
                r#"{"active":true,"id":10,"items":[{"count":5,"name":"a","price":1.5},{"count":3,"name":"b","price":10.0}],"#,
                r#""tags":["y","x"],"total":37.5}"#,
                "\n"
            )
        );
    }

    /// Whichever map the library keeps objects in.
    #[test]
    fn keys_are_in_alphabetical_order() {
        let line = document(1, 2);
        let mut written = Vec::new();
        transform(&line, 1, &mut written).unwrap();
        for text in [line.as_bytes(), &written] {
            let parsed: std::collections::BTreeMap<String, Value> = serde_json::from_slice(text).unwrap();
            let again = format!("{}\n", serde_json::to_string(&parsed).unwrap());
            assert_eq!(again.as_bytes(), text);
        }
    }

    #[test]
    fn as_many_documents_as_fit_and_at_least_one() {
        for input_bytes in [16, 1000, 65_536] {
            let work = JsonWork::prepare(input_bytes, 2);
            assert_eq!(work.text.lines().count(), work.documents);
            assert!(work.documents == 1 || work.text.len() <= input_bytes);
            assert!(work.text.len() + 700 > input_bytes);
        }
    }
}
