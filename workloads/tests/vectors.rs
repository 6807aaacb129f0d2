//! The test vectors of DIGESTS.md, which were computed by the Python on that page.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossover_workloads::{Seen, Spec, Value, Workload, combine, format_checksum, server};

/// A row of the table: what to do, and what must come out.
struct Vector {
    spec: Spec,
    digests: Vec<u64>,
    checksum: String,
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_matches('`'), 16).expect("a hexadecimal number")
}

fn vectors() -> Vec<Vector> {
    let page = include_str!("../DIGESTS.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.map(|line| {
        let columns: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [kind, params, seed, digests @ .., checksum] = columns.as_slice() else { panic!("{line}") };
        let mut all = BTreeMap::new();
        let mut spin_per_us = None;
        for pair in params.split(' ') {
            let (name, text) = pair.split_once('=').expect("name=value");
            let number = text.parse::<f64>().ok();
            let value = match (text.parse(), number) {
                (Ok(n), _) => Value::Int(n),
                (_, Some(x)) => Value::Float(x),
                _ => Value::Text(text.to_owned()),
            };
            if name == "spin_per_us" {
                spin_per_us = number;
            } else {
                all.insert(name.to_owned(), value);
            }
        }
        Vector {
            spec: Spec {
                kind: (*kind).to_owned(),
                params: all,
                tasks: 3,
                seed: hex(seed),
                server: None,
                spin_per_us,
            },
            digests: digests.iter().map(|text| hex(text)).collect(),
            checksum: checksum.trim_matches('`').to_owned(),
        }
    })
    .collect()
}

/// A task's digest; that of a planned crash where it crashes.
fn digest_of(workload: &Workload, task: u32) -> u64 {
    match catch_unwind(AssertUnwindSafe(|| workload.run_blocking(task))) {
        Ok(result) => result.unwrap(),
        Err(payload) => workload.crashed(task, Seen::Panic(&*payload)).expect("a planned crash"),
    }
}

#[test]
fn the_page_and_the_code_agree() {
    let runtime = crossover_runtime::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    drop(runtime.spawn(server::serve(listener)));

    let vectors = vectors();
    assert!(vectors.len() >= 60, "the table has {} rows", vectors.len());
    for Vector { mut spec, digests, checksum } in vectors {
        if spec.kind == "postgres" && std::env::var_os("CROSSOVER_POSTGRES").is_none() {
            println!("skipped, because CROSSOVER_POSTGRES names no server: {spec:?}");
            continue;
        }
        spec.server = Workload::needs_server(&spec.kind).then_some(address);
        let workload = Workload::prepare(&spec).unwrap();
        let mut acc = 0;
        for (task, digest) in (0..).zip(digests) {
            assert_eq!(digest_of(&workload, task), digest, "task {task} of {spec:?}");
            acc = combine(acc, task, digest);
        }
        assert_eq!(format_checksum(acc), checksum, "{spec:?}");
    }
}
