//! What a request asks for: `name=number` pairs in any order, each at most once.

use std::time::Duration;

use crate::kinds::http::delays::DELAY_MAX_US;

/// A query whose names are known.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pairs: Vec<(&'a str, u64)>,
}

impl<'a> Query<'a> {
    /// Reads a query in which `known` names may stand.
    ///
    /// # Errors
    /// A line that says what is wrong.
    pub(super) fn read(text: &'a str, known: &[&str]) -> Result<Self, String> {
        let mut pairs = Vec::with_capacity(known.len());
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(format!("unknown parameter {name}; known: {}\n", known.join(", ")));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(format!("{name} is given twice\n"));
            }
            let number = value.parse().map_err(|_| format!("{name} must be a whole number\n"))?;
            pairs.push((name, number));
        }
        Ok(Self { pairs })
    }

    /// A number that must be there, up to `max`.
    pub(super) fn required(&self, name: &str, max: u64) -> Result<u64, String> {
        self.optional(name, max)?.ok_or_else(|| format!("{name} is missing\n"))
    }

    /// A number that may be there, up to `max`.
    pub(super) fn optional(&self, name: &str, max: u64) -> Result<Option<u64>, String> {
        match self.pairs.iter().find(|(known, _)| *known == name) {
            Some(&(_, number)) if number > max => Err(format!("{name} must be at most {max}\n")),
            found => Ok(found.map(|&(_, number)| number)),
        }
    }

    /// The delay `us`.
    pub(super) fn delay(&self) -> Result<Duration, String> {
        self.required("us", DELAY_MAX_US).map(Duration::from_micros)
    }

    /// The task `n` and the seed `seed`.
    pub(super) fn task_and_seed(&self) -> Result<(u32, u64), String> {
        let task = self.required("n", u64::from(u32::MAX))?;
        Ok((u32::try_from(task).unwrap_or(u32::MAX), self.required("seed", u64::MAX)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Duration, (u32, u64)), String> {
        let query = Query::read(text, &["us", "n", "seed"])?;
        Ok((query.delay()?, query.task_and_seed()?))
    }

    #[test]
    fn queries_are_read_in_any_order() {
        let expected = (Duration::from_millis(1), (7, u64::MAX));
        assert_eq!(read("us=1000&n=7&seed=18446744073709551615"), Ok(expected));
        assert_eq!(read("seed=1&us=0&n=0"), Ok((Duration::ZERO, (0, 1))));
    }

    #[test]
    fn wrong_queries_say_what_is_wrong() {
        for (query, part) in [
            ("", "us is missing"),
            ("us=1&n=2", "seed is missing"),
            ("us=1&n=2&seed=x", "seed must be a whole number"),
            ("us=1&n=2&seed=-3", "seed must be"),
            ("us=1&us=1&n=2&seed=3", "us is given twice"),
            ("us=60000001&n=2&seed=3", "at most 60000000"),
            ("us=1&n=4294967296&seed=3", "at most 4294967295"),
            ("us=1&n=2&seed=3&x=4", "unknown parameter x; known: us, n, seed"),
            ("us", "us must be a whole number"),
        ] {
            let reason = read(query).unwrap_err();
            assert!(reason.contains(part), "{query}: {reason}");
        }
    }
}
