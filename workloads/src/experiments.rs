//! The experiments that come with the suite, as the text of their TOML files.
//!
//! They are ordinary config files under `workloads/experiments/`: a researcher copies one, edits it and runs the copy.

/// Name and text of every experiment, in the order in which they are listed.
pub const ALL: &[(&str, &str)] = &[
    ("io-bound", include_str!("../experiments/io-bound.toml")),
    ("cpu-bound", include_str!("../experiments/cpu-bound.toml")),
    ("mixed", include_str!("../experiments/mixed.toml")),
    ("open-load", include_str!("../experiments/open-load.toml")),
    ("kernels", include_str!("../experiments/kernels.toml")),
    ("global-lock", include_str!("../experiments/global-lock.toml")),
    ("payload", include_str!("../experiments/payload.toml")),
    ("skewed", include_str!("../experiments/skewed.toml")),
    ("blocker", include_str!("../experiments/blocker.toml")),
    ("crash", include_str!("../experiments/crash.toml")),
    ("leak", include_str!("../experiments/leak.toml")),
    ("capacity", include_str!("../experiments/capacity.toml")),
    ("delay-spread", include_str!("../experiments/delay-spread.toml")),
    ("echo", include_str!("../experiments/echo.toml")),
    ("gateway", include_str!("../experiments/gateway.toml")),
    ("scraper", include_str!("../experiments/scraper.toml")),
    ("lines", include_str!("../experiments/lines.toml")),
    ("chat", include_str!("../experiments/chat.toml")),
    ("queue", include_str!("../experiments/queue.toml")),
    ("file-io", include_str!("../experiments/file-io.toml")),
    ("sqlite", include_str!("../experiments/sqlite.toml")),
    ("postgres", include_str!("../experiments/postgres.toml")),
    ("python", include_str!("../experiments/python.toml")),
    ("python-io", include_str!("../experiments/python-io.toml")),
    ("script", include_str!("../experiments/script.toml")),
    ("idle", include_str!("../experiments/idle.toml")),
    ("pools", include_str!("../experiments/pools.toml")),
    ("pool-size", include_str!("../experiments/pool-size.toml")),
    ("cores", include_str!("../experiments/cores.toml")),
    ("concurrency", include_str!("../experiments/concurrency.toml")),
    ("peers", include_str!("../experiments/peers.toml")),
    ("peers-http", include_str!("../experiments/peers-http.toml")),
];

/// The names of those that `crossover run` without an argument measures, in this order.
pub const TOUR: &[&str] = &["io-bound", "cpu-bound", "mixed"];

/// The text of the experiment of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;
    use std::collections::BTreeMap;

    fn table(text: &str) -> toml::Table {
        text.parse().expect("the file is TOML")
    }

    #[test]
    fn the_tour_exists_and_names_are_their_own() {
        for name in TOUR {
            assert!(find(name).is_some(), "{name}");
        }
        for (name, text) in ALL {
            assert_eq!(table(text)["experiment"]["name"].as_str(), Some(*name));
        }
    }

    /// Every value of every axis, one at a time, makes a valid workload.
    #[test]
    fn parameters_are_in_the_catalog() {
        for (name, text) in ALL {
            let file = table(text);
            let workload = file["workload"].as_table().unwrap();
            let kind = catalog::find(workload["kind"].as_str().unwrap()).unwrap();
            for (param, value) in workload.iter().filter(|(key, _)| *key != "kind") {
                let values: Vec<toml::Value> = match value {
                    toml::Value::Array(list) => list.clone(),
                    toml::Value::Table(axis) => axis["log"].as_array().unwrap().clone(),
                    single => vec![single.clone()],
                };
                for value in values {
                    let value: crate::Value = value.try_into().unwrap();
                    kind.resolve(&BTreeMap::from([(param.clone(), value)]))
                        .unwrap_or_else(|e| panic!("{name}: {e}"));
                }
            }
        }
    }

    /// Trailing blanks or tabs would survive into every copy.
    #[test]
    fn text_is_tidy() {
        for (name, text) in ALL {
            for (number, line) in text.lines().enumerate() {
                assert!(line == line.trim_end() && !line.contains('\t'), "{name}:{}", number + 1);
            }
        }
    }
}
