//! An experiment back into TOML, complete: axes as plain lists, workers as a number, defaults written out.
//!
//! What is written loads again to the same experiment (its text and its source aside).
use std::fmt::Write as _;

use super::{Experiment, Value, duration};

impl Experiment {
    /// This experiment in the schema of its file, with nothing left to be looked up or worked out: what
    /// `config.resolved.toml` holds.
    #[must_use]
    pub fn resolved_toml(&self) -> String {
        let mut out = String::from("schema = 1\n\n[experiment]\n");
        line(&mut out, "name", &text(&self.name));
        line(&mut out, "question", &text(&self.question));
        line(&mut out, "analysis", &text(&self.analysis));
        out += "\n[workload]\n";
        line(&mut out, "kind", &text(&self.workload.kind));
        for (param, constant) in &self.workload.constants {
            line(&mut out, param, &value(constant));
        }
        for axis in &self.workload.axes {
            line(&mut out, &axis.param, &list(axis.values.iter().map(value)));
        }
        self.strategies_toml(&mut out);
        out += "\n[measure]\n";
        line(&mut out, "processes", &self.measure.processes.to_string());
        line(&mut out, "rounds", &self.measure.rounds.to_string());
        if let Some(budget) = self.measure.budget {
            line(&mut out, "budget", &text(&duration::show(budget)));
        }
        line(&mut out, "max_foreign_cores", &float(self.measure.max_foreign_cores));
        let load = match self.measure.rate {
            None => "{ mode = \"closed\" }".to_owned(),
            Some(rate) => format!("{{ mode = \"open\", rate = {} }}", float(rate)),
        };
        line(&mut out, "load", &load);
        line(&mut out, "startup", &text(self.measure.startup.word()));
        out += "\n[analysis]\n";
        line(&mut out, "margin", &float(self.analysis_opts.margin));
        line(&mut out, "confidence", &float(self.analysis_opts.confidence));
        line(&mut out, "baseline", &text(&self.analysis_opts.baseline));
        line(&mut out, "refine_crossover", &self.analysis_opts.refine_crossover.to_string());
        out
    }

    fn strategies_toml(&self, out: &mut String) {
        *out += "\n[strategies]\n";
        line(out, "include", &list(self.strategies.include.iter().map(|name| text(name))));
        line(out, "workers", &self.strategies.workers.to_string());
        for (name, options) in &self.strategies.overrides {
            let _ = write!(out, "\n[strategies.{name}]\n");
            workers(out, options.workers, options.jobs_per_worker);
        }
        for (name, variant) in &self.strategies.variants {
            let _ = write!(out, "\n[strategies.variants.{}]\n", text(name));
            line(out, "strategy", &text(&variant.strategy));
            workers(out, variant.workers, variant.jobs_per_worker);
        }
        for (name, external) in &self.strategies.external {
            let _ = write!(out, "\n[strategies.external.{}]\n", text(name));
            line(out, "run", &list(external.run.iter().map(|word| text(word))));
            line(out, "dir", &text(&external.dir.to_string_lossy()));
            if external.optional {
                line(out, "optional", "true");
            }
        }
    }
}

/// What a strategy says of its workers.
fn workers(out: &mut String, workers: Option<u32>, jobs_per_worker: Option<u32>) {
    for (key, number) in [("workers", workers), ("jobs_per_worker", jobs_per_worker)] {
        if let Some(number) = number {
            line(out, key, &number.to_string());
        }
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn float(x: f64) -> String {
    toml::Value::Float(x).to_string()
}

fn value(value: &Value) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        Value::Float(x) => float(*x),
        Value::Text(name) => text(name),
    }
}
