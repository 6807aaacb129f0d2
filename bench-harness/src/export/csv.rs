//! Samples as RFC 4180: a header, then a row per sample in the order of the file, lines ended by CR LF.
//!
//! The columns are the same for every run but for those of its parameters, which stand after `cell` in the order of their
//! names. One that is called like another column (`tasks`) is called `param_tasks`. A value that was not recorded is
//! empty.
use std::collections::BTreeSet;
use std::fmt::Display;

use crossover_reports::record::Sample;

use super::Run;

/// Columns before the parameters.
const BEFORE: [&str; 3] = ["experiment", "run", "cell"];

/// A column after the parameters: its name, and its field of a sample.
type Column = (&'static str, fn(&Sample) -> String);

/// Columns after the parameters.
const AFTER: &[Column] = &[
    ("strategy", |s| s.strategy.clone()),
    ("process", |s| s.process.to_string()),
    ("round", |s| s.round.to_string()),
    ("order", |s| s.order.to_string()),
    ("seed", |s| s.seed.to_string()),
    ("batch", |s| s.batch.to_string()),
    ("tasks", |s| s.tasks.to_string()),
    ("wall_ns", |s| s.wall_ns.to_string()),
    ("user_ns", |s| s.user_ns.to_string()),
    ("sys_ns", |s| s.sys_ns.to_string()),
    ("rss_peak_kib", |s| s.rss_peak_kib.to_string()),
    ("vcsw", |s| s.vcsw.to_string()),
    ("ivcsw", |s| s.ivcsw.to_string()),
    ("steal_ticks", |s| s.steal_ticks.to_string()),
    ("foreign_cores", |s| s.foreign_cores.to_string()),
    ("psi_cpu", |s| given(s.psi_cpu)),
    ("server_cpu_ns", |s| given(s.server_cpu_ns)),
    ("rate", |s| given(s.rate)),
    ("achieved_rate", |s| given(s.achieved_rate)),
    ("generator_lag_ns", |s| given(s.generator_lag_ns)),
    ("generator_cpu_ns", |s| given(s.generator_cpu_ns)),
    ("overhead_ns", |s| given(s.overhead_ns)),
    ("checksum", |s| s.checksum.clone()),
    ("ok", |s| s.ok.to_string()),
    ("error", |s| given(s.error.as_ref())),
    ("quarantined", |s| given(s.quarantined.as_ref())),
    ("latency", |s| given(s.latency.as_ref())),
];

fn given(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Every sample of `runs`.
pub(super) fn render(runs: &[Run]) -> String {
    let samples =
        || runs.iter().flat_map(|run| run.folder.samples.iter().map(move |sample| (&run.name, sample)));
    let params: BTreeSet<&str> =
        samples().flat_map(|(_, sample)| sample.params.keys()).map(String::as_str).collect();
    let is_taken = |name: &str| BEFORE.contains(&name) || AFTER.iter().any(|(known, _)| *known == name);
    let param_columns =
        params.iter().map(|name| if is_taken(name) { format!("param_{name}") } else { (*name).to_owned() });
    let before = BEFORE.iter().map(|name| (*name).to_owned());
    let after = AFTER.iter().map(|(name, _)| (*name).to_owned());
    let mut out = line(before.chain(param_columns).chain(after));
    for (experiment, sample) in samples() {
        let before = [experiment, &sample.run, &sample.cell].into_iter().cloned();
        let values = params.iter().map(|name| given(sample.params.get(*name)));
        out += &line(before.chain(values).chain(AFTER.iter().map(|(_, field)| field(sample))));
    }
    out
}

fn line(fields: impl Iterator<Item = String>) -> String {
    fields.map(quoted).collect::<Vec<_>>().join(",") + "\r\n"
}

/// A field that holds what separates fields stands in quotes, its own quotes doubled.
fn quoted(field: String) -> String {
    if field.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::read;

    #[test]
    fn a_row_per_sample_and_a_column_per_parameter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.toml"), "[experiment]\nname = \"a, b\"\n").unwrap();
        let line = r#"{"schema":1,"run":"r-1","cell":"cpu_us=0.5,tasks=8","params":{"cpu_us":0.5,"tasks":8},"strategy":"threads","process":0,"round":1,"order":7,"seed":42,"batch":2,"tasks":8,"wall_ns":1000,"ok":true}"#;
        let failed =
            line.replace("\"ok\":true", r#""ok":false,"error":"it said \"no\"\nand left","psi_cpu":0.25"#);
        std::fs::write(dir.path().join("samples.jsonl"), format!("{line}\n{failed}\n")).unwrap();
        let expected = "experiment,run,cell,cpu_us,param_tasks,strategy,process,round,order,seed,batch,tasks,wall_ns,user_ns,sys_ns,\
             rss_peak_kib,vcsw,ivcsw,steal_ticks,foreign_cores,psi_cpu,server_cpu_ns,rate,achieved_rate,generator_lag_ns,\
             generator_cpu_ns,overhead_ns,checksum,ok,error,quarantined,latency\r\n\
             \"a, b\",r-1,\"cpu_us=0.5,tasks=8\",0.5,8,threads,0,1,7,42,2,8,1000,0,0,0,0,0,0,0,,,,,,,,,true,,,\r\n\
             \"a, b\",r-1,\"cpu_us=0.5,tasks=8\",0.5,8,threads,0,1,7,42,2,8,1000,0,0,0,0,0,0,0,0.25,,,,,,,,false,\
             \"it said \"\"no\"\"\nand left\",,\r\n";
        assert_eq!(render(&read(dir.path()).unwrap()), expected);
    }
}
