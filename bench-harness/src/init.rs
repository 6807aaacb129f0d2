//! `crossover init`: writes an experiment's file that runs as it stands and explains itself.
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::text;

const TEMPLATE: &str = include_str!("template.toml");

/// Writes the template to `path`.
///
/// # Errors
/// When something stands there already (it is never overwritten), or the file cannot be written.
pub fn init(path: &Path) -> Result<()> {
    let shown = path.display();
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{shown}: exists already and is not overwritten; choose another name")
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{shown}: there is no such folder; make it first")
        }
        Err(error) => return Err(error).with_context(|| format!("{shown}: cannot be written")),
    };
    file.write_all(template(path).as_bytes()).with_context(|| format!("{shown}: cannot be written"))?;
    let named = path.to_string_lossy();
    let named = if named.contains('/') || named.ends_with(".toml") {
        named.into_owned()
    } else {
        format!("./{named}")
    };
    text::print(&format!(
        "wrote {shown}\n  crossover plan {named}    shows what it would measure\n  crossover run {named}     measures it\n"
    ))?;
    Ok(())
}

/// The template, with the file's name as the experiment's where that needs no quoting.
fn template(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let plain = !stem.is_empty()
        && stem.len() <= 14
        && stem.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !plain {
        return TEMPLATE.to_owned();
    }
    // As wide as the name it replaces, so that the comments stay in their column.
    TEMPLATE.replacen("\"my-experiment\" ", &format!("{:<16}", format!("\"{stem}\"")), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Experiment;

    #[test]
    fn the_template_loads_and_takes_the_files_name() {
        for (file, name) in [
            ("quick-look.toml", "quick-look"),
            ("a b.toml", "my-experiment"),
            ("é", "my-experiment"),
            ("x", "x"),
        ] {
            let text = template(Path::new(file));
            let exp =
                Experiment::parse(&text, file, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(exp.name, name);
            assert_eq!(exp.cells().len(), 8);
        }
    }

    #[test]
    fn the_template_shows_every_key_and_every_strategy() {
        let exp = Experiment::parse(TEMPLATE, "x", Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
        let all: Vec<_> = crate::strategy::BUILT_IN.iter().map(|info| info.name).collect();
        assert_eq!(exp.strategies.include, all);
        for line in exp.resolved_toml().lines().filter_map(|line| line.split_once(" = ")) {
            assert!(TEMPLATE.contains(&format!("\n{} = ", line.0)), "{} is not in the template", line.0);
        }
    }
}
