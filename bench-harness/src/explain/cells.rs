//! Finding the cell that somebody means: by its whole name, or by the parts of it that tell it from the others.
use crate::config::{nearest, shown};
use crate::text;

/// How many names or values an error lists.
const LISTED: usize = 12;

/// The cell of `cells` that has every `param=value` of `wanted`. Numbers are compared as numbers.
///
/// # Errors
/// What is wrong with `wanted` and what there is instead: nothing fits, or more than one cell does.
pub(super) fn find(cells: &[String], wanted: &str) -> Result<String, String> {
    if let Some(cell) = cells.iter().find(|cell| *cell == wanted) {
        return Ok(cell.clone());
    }
    let mut fitting: Vec<&String> = cells.iter().collect();
    for part in wanted.split(',').map(str::trim) {
        let Some((param, value)) = part.split_once('=').map(|(param, value)| (param.trim(), value.trim()))
        else {
            return Err(format!(
                "cell \"{}\": a cell is named by its parameters, such as {}; {}",
                shown(wanted),
                cells.first().map_or("n=1", String::as_str),
                listed("cells", cells.iter().map(String::as_str))
            ));
        };
        let values = values_of(cells, param);
        if values.is_empty() {
            return Err(no_param(cells, param));
        }
        if !values.iter().any(|known| is_same(known, value)) {
            return Err(no_value(param, value, &values));
        }
        fitting.retain(|cell| parts(cell).any(|(name, known)| name == param && is_same(known, value)));
    }
    match fitting[..] {
        [cell] => Ok(cell.clone()),
        [] => Err(format!(
            "no cell has all of \"{}\"; {}",
            shown(wanted),
            listed("cells", cells.iter().map(String::as_str))
        )),
        ref several => Err(format!(
            "\"{}\" fits {} cells, name one more parameter; {}",
            shown(wanted),
            several.len(),
            listed("they are", several.iter().map(|cell| cell.as_str()))
        )),
    }
}

fn parts(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    cell.split(',').filter_map(|part| part.split_once('='))
}

/// The values that `param` takes, each once, in the order of the cells.
fn values_of<'c>(cells: &'c [String], param: &str) -> Vec<&'c str> {
    let mut values: Vec<&str> = Vec::new();
    for (name, value) in cells.iter().flat_map(|cell| parts(cell)) {
        if name == param && !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

fn is_same(known: &str, wanted: &str) -> bool {
    known == wanted || number(known).is_some_and(|a| number(wanted).is_some_and(|b| a == b))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

fn no_param(cells: &[String], param: &str) -> String {
    let known: Vec<&str> =
        cells.first().map(|cell| parts(cell).map(|(name, _)| name).collect()).unwrap_or_default();
    let near = did_you_mean(nearest(param, known.iter().copied()));
    format!(
        "no cell has a parameter `{}`{near}; {}",
        shown(param),
        listed("what is swept:", known.iter().copied())
    )
}

fn no_value(param: &str, value: &str, values: &[&str]) -> String {
    let near = match number(value) {
        Some(wanted) => {
            let distance = |known: &&&str| number(known).map_or(f64::INFINITY, |x| (x - wanted).abs());
            values.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied()
        }
        None => nearest(value, values.iter().copied()),
    };
    let near = did_you_mean(near.map(|near| format!("{param}={near}")).as_deref());
    format!("no cell has {param}={}{near}; {}", shown(value), listed("its values:", values.iter().copied()))
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// `what` and the first few of `names`.
fn listed<'n>(what: &str, names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let count = names.len();
    let mut shown: Vec<String> = names.take(LISTED).map(str::to_owned).collect();
    if count > shown.len() {
        shown.push(format!("and {}", text::count((count - shown.len()) as u64, "other")));
    }
    format!("{what} {}", shown.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Vec<String> {
        let cells = [("0.3", 0), ("26", 0), ("26", 500), ("2000", 500)];
        cells.map(|(cpu, wait)| format!("cpu_us={cpu},wait_us={wait}")).to_vec()
    }

    #[test]
    fn a_part_that_tells_a_cell_from_the_others_is_enough() {
        for (wanted, found) in [
            ("cpu_us=26,wait_us=500", "cpu_us=26,wait_us=500"),
            ("wait_us=500,cpu_us=26", "cpu_us=26,wait_us=500"),
            ("cpu_us=2000", "cpu_us=2000,wait_us=500"),
            ("cpu_us=2e3", "cpu_us=2000,wait_us=500"),
            (" cpu_us = 0.30 ", "cpu_us=0.3,wait_us=0"),
        ] {
            assert_eq!(find(&grid(), wanted).as_deref(), Ok(found), "{wanted}");
        }
        let kernels = ["kernel=sha256".to_owned(), "kernel=resize".to_owned()];
        assert_eq!(find(&kernels, "kernel=resize").as_deref(), Ok("kernel=resize"));
    }

    #[test]
    fn what_fits_nothing_or_too_much_is_told_what_there_is() {
        for (wanted, words) in [
            ("cpu_us=26", &["fits 2 cells", "cpu_us=26,wait_us=0  cpu_us=26,wait_us=500"][..]),
            ("cpu_us=25", &["did you mean `cpu_us=26`?", "0.3  26  2000"]),
            ("cpu=26", &["no cell has a parameter `cpu`", "cpu_us  wait_us"]),
            ("cpu_su=26", &["did you mean `cpu_us`?"]),
            ("26", &["a cell is named by its parameters, such as cpu_us=0.3,wait_us=0"]),
            ("", &["a cell is named by its parameters"]),
            ("cpu_us=0.3,wait_us=500", &["no cell has all of"]),
            ("cpu_us=NaN", &["no cell has cpu_us=NaN"]),
            ("cpu_us=\u{1b}[2J", &["cpu_us=\\u{1b}[2J"]),
        ] {
            let reason = find(&grid(), wanted).unwrap_err();
            assert!(words.iter().all(|word| reason.contains(word)), "{wanted}: {reason}");
        }
        let kernels = ["kernel=sha256".to_owned(), "kernel=resize".to_owned()];
        assert!(find(&kernels, "kernel=sha265").unwrap_err().contains("`kernel=sha256`"));
    }
}
