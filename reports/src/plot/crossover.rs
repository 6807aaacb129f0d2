//! The crossover plot: wall time of one run per strategy along a swept parameter, with the crossings marked.
use super::callouts::Callout;
use super::font::{self, Weight};
use super::form::Form;
use super::lines::{self, Along, Chart, Dot, Series};
use super::select::{self, Slice};
use super::style::{self, Colour};
use super::units::{Unit, describe, headed, label, show_param, times};
use super::{Drawn, Section, Table};
use crate::analysis::model::{Analysis, StrategyStats};
use crate::facts::{self, Call};
use crate::record::{Crossover, ParamValue};

/// Draws one slice.
pub(crate) fn draw(analysis: &Analysis, slice: &Slice<'_>, form: Form) -> Option<Drawn> {
    let crossings = select::crossings(analysis, slice);
    let title = headline(analysis, slice, &crossings);
    let chart = Chart {
        title: title.clone(),
        subtitle: conditions(analysis, slice, "Wall time: median, with its interval"),
        x_title: label(&slice.axis.param),
        y_title: "wall time of one run".to_owned(),
        along: along(slice),
        y_unit: Unit::NS,
        series: series(analysis, slice, &Unit::NS, |s| (s.wall_ns, s.wall_ci_ns)),
        callouts: crossings.iter().filter_map(|c| callout(analysis, slice, c)).collect(),
        refused: refused(slice),
    };
    // Where nothing counts, the map says so.
    if chart.series.is_empty() {
        return None;
    }
    let scene = lines::draw(&chart, form);
    let description = format!(
        "Line plot of the wall time of one run over {} for {}. {}",
        label(&slice.axis.param),
        analysis.strategies.join(", "),
        crossings.iter().map(|c| crossing_words(analysis, c)).collect::<Vec<_>>().join(" ")
    );
    let stem = ["crossover", &slice.axis.param, &select::stem(&slice.fixed)].join("_");
    let table = table(analysis, slice, |s| (s.wall_ns, s.wall_ci_ns));
    Some(Drawn {
        subtitle: chart.subtitle,
        ..Drawn::new(Section::Crossover, stem, title, description, scene, table)
    })
}

/// The positions of a slice's axis.
pub(crate) fn along(slice: &Slice<'_>) -> Along {
    if slice.axis.is_numeric() {
        let unit = Unit::of(&slice.axis.param);
        return Along::Numbers(slice.cells.iter().map(|(x, _)| *x).collect(), unit);
    }
    Along::Names(slice.axis.values.iter().map(|v| show_param(&slice.axis.param, v)).collect())
}

/// The figures of every strategy along a slice; a figure that is not positive has no place on the plot.
pub(crate) fn series(
    analysis: &Analysis,
    slice: &Slice<'_>,
    unit: &Unit,
    figure: impl Fn(&StrategyStats) -> (f64, [f64; 2]),
) -> Vec<Series> {
    let styles = style::styles(&analysis.strategies);
    let mut all = Vec::new();
    for (index, name) in analysis.strategies.iter().enumerate() {
        let dots: Vec<Dot> = slice
            .cells
            .iter()
            .filter_map(|(x, cell)| {
                let (y, ci) = figure(cell.stats.get(index)?.as_ref()?);
                let tip = format!(
                    "{name}, {}: {} ({} – {})",
                    facts::cell_words(cell),
                    unit.show(y),
                    unit.show(ci[0]),
                    unit.show(ci[1])
                );
                let ci = [ci[0].min(y).max(f64::MIN_POSITIVE), ci[1].max(y)];
                (y.is_finite() && y > 0.0).then_some(Dot { x: *x, y, ci, tip: Some(tip) })
            })
            .collect();
        if !dots.is_empty() {
            all.push(Series { label: name.clone(), note: String::new(), style: styles[index], dots });
        }
    }
    all
}

/// Places of a slice without a verdict.
pub(crate) fn refused(slice: &Slice<'_>) -> Vec<(f64, String)> {
    let why = |(x, cell): &(f64, &_)| match facts::call(cell) {
        Call::Refused(reason) => Some((*x, reason.to_owned())),
        _ => None,
    };
    slice.cells.iter().filter_map(why).collect()
}

/// The sentence of conditions under a headline.
pub(crate) fn conditions(analysis: &Analysis, slice: &Slice<'_>, what: &str) -> String {
    let mut parts = Vec::new();
    if !slice.fixed.is_empty() {
        parts.push(describe(&slice.fixed));
    }
    parts.extend(super::constants(analysis));
    parts.push(super::rounds(analysis));
    let mut text = format!(
        "{}. {what} ({} %). Lower is better.",
        parts.join(" · "),
        super::units::significant(analysis.confidence * 100.0, 3)
    );
    if !refused(slice).is_empty() {
        text.push_str(" A red × marks a value without a verdict.");
    }
    text
}

/// The finding of a slice, with the other parameters where there are some.
fn headline(analysis: &Analysis, slice: &Slice<'_>, crossings: &[&Crossover]) -> String {
    let finding = finding(analysis, slice, crossings);
    headed(&slice.fixed, finding)
}

/// What is known of where a crossing lies.
enum Place {
    /// Between zero and this smallest measured value.
    Below(f64),
    /// In an interval that is too wide for one number.
    Between([f64; 2]),
    /// Near this value.
    At(f64),
}

/// The interval of a crossing, one end by the other, from which on it has no place but a range.
const VAGUE: f64 = 1.5;

fn place(analysis: &Analysis, crossing: &Crossover, at: f64) -> Place {
    let axis = analysis.axes.iter().find(|axis| axis.param == crossing.param);
    let values: Vec<f64> = axis.iter().flat_map(|a| &a.values).filter_map(ParamValue::as_f64).collect();
    let first = values.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    if values.contains(&0.0) && at < first {
        return Place::Below(first);
    }
    match crossing.ci {
        Some([low, high]) if high > VAGUE * low => Place::Between([low, high]),
        _ => Place::At(at),
    }
}

impl Place {
    /// As part of a sentence: `at 18.3 µs`.
    fn words(&self, unit: Unit) -> String {
        match self {
            Self::Below(first) => format!("below {}", unit.show(*first)),
            Self::Between([low, high]) => format!("between {} and {}", unit.show(*low), unit.show(*high)),
            Self::At(at) => format!("at {}", unit.show(*at)),
        }
    }
}

fn wins(name: &str) -> &'static str {
    if facts::is_plural(name) { "win" } else { "wins" }
}

fn finding(analysis: &Analysis, slice: &Slice<'_>, crossings: &[&Crossover]) -> String {
    let counts = Unit::of(&slice.axis.param) == Unit::Plain && facts::is_plural(&slice.axis.param);
    let what = match counts {
        true => format!("number of {}", label(&slice.axis.param)),
        false => label(&slice.axis.param),
    };
    if let Some((crossing, at)) = crossings.first().and_then(|c| Some((c, c.at?))) {
        let times = swaps(analysis, slice, crossing);
        if times > 1 {
            return format!("{} and {} swap places {times} times along {what}", crossing.from, crossing.to);
        }
        let place = match facts::from_on(analysis, crossing) {
            Some(place) => place,
            None => format!("{} {what}", place(analysis, crossing, at).words(Unit::of(&slice.axis.param))),
        };
        return format!("{} {} {} {place}", crossing.to, overtakes(&crossing.to), crossing.from);
    }
    let calls: Vec<Call<'_>> = slice.cells.iter().map(|(_, cell)| facts::call(cell)).collect();
    let winners: Vec<&str> =
        calls.iter().filter_map(|c| if let Call::Wins(w) = c { Some(*w) } else { None }).collect();
    let same = winners.windows(2).all(|pair| pair[0] == pair[1]);
    match winners.first() {
        Some(winner) if same && winners.len() == calls.len() => {
            let most = slice.cells.iter().filter_map(|(_, c)| Some(facts::speed_up(analysis, c)?.ratio));
            let most = most.fold(0.0, f64::max);
            let by = if most > 1.0 {
                format!(", up to {} faster than {}", times(most), analysis.baseline)
            } else {
                String::new()
            };
            format!("{winner} {} at every {what} measured{by}", wins(winner))
        }
        Some(winner) if same => {
            format!(
                "{winner} {} at {} of {} values of {what}, nobody else at any",
                wins(winner),
                winners.len(),
                calls.len()
            )
        }
        Some(_) => format!("Several strategies win along {what}; no crossing of two is resolved"),
        None if calls.iter().all(|c| matches!(c, Call::Refused(_))) => format!("No verdict along {what}"),
        None if calls.iter().all(|c| matches!(c, Call::Tie(_))) => {
            format!("A proven tie at every {what} measured")
        }
        None => format!("No strategy is proven fastest along {what}"),
    }
}

/// How often the pair of `crossing` swaps places within the slice.
fn swaps(analysis: &Analysis, slice: &Slice<'_>, crossing: &Crossover) -> usize {
    let pair = |c: &Crossover| (c.from.clone().min(c.to.clone()), c.from.clone().max(c.to.clone()));
    let here = |c: &&Crossover| {
        c.at.is_some()
            && c.p_none <= 0.5
            && c.param == crossing.param
            && c.fixed == slice.fixed
            && pair(c) == pair(crossing)
    };
    analysis.crossovers.iter().filter(here).count()
}

/// The mark of a crossing.
fn callout(analysis: &Analysis, slice: &Slice<'_>, crossing: &Crossover) -> Option<Callout> {
    let at = crossing.at?;
    let unit = Unit::of(&crossing.param);
    let y = select::wall_at(analysis, slice, &crossing.to, at)
        .or_else(|| select::wall_at(analysis, slice, &crossing.from, at))?;
    let confidence = super::units::significant(analysis.confidence * 100.0, 3);
    let counted = facts::from_on(analysis, crossing);
    let mut words = match (counted, place(analysis, crossing, at)) {
        (Some(place), _) => vec![place, format!("{confidence} % confidence")],
        (None, Place::At(at)) => {
            let ci = crossing
                .ci
                .map(|[low, high]| format!("{confidence} % CI {} – {}", unit.show(low), unit.show(high)));
            [Some(format!("crossover {}", unit.show(at))), ci].into_iter().flatten().collect()
        }
        (None, place @ Place::Between(_)) => {
            vec![format!("crossover {}", place.words(unit)), format!("{confidence} % CI")]
        }
        (None, Place::Below(first)) => {
            let least = unit.show(first);
            vec![format!("crossover below {least}"), format!("nothing measured from 0 to {least}")]
        }
    };
    let name = |name: &str| font::shorten(name, 12.5, Weight::Regular, 130.0);
    words.push(format!("{} → {}", name(&crossing.from), name(&crossing.to)));
    if crossing.p_none >= 0.05 {
        words.push(format!("in {:.0} % of resamples", (1.0 - crossing.p_none) * 100.0));
    }
    Some(Callout { at: (at, y), strip: crossing.ci.or(Some([at, at])), words, colour: Colour::Ink })
}

/// Where a crossing lies, as a table says it: `18.3 µs`, `between 3 µs and 31 µs`, `below 100 µs`; a dash where the two
/// do not cross.
pub(crate) fn crossing_place(analysis: &Analysis, crossing: &Crossover) -> String {
    let (Some(at), unit) = (crossing.at, Unit::of(&crossing.param)) else { return "–".to_owned() };
    match place(analysis, crossing, at) {
        Place::At(at) => unit.show(at),
        place => place.words(unit),
    }
}

/// A crossing as a sentence.
pub(crate) fn crossing_words(analysis: &Analysis, crossing: &Crossover) -> String {
    let unit = Unit::of(&crossing.param);
    let (from, to, param) = (&crossing.from, &crossing.to, label(&crossing.param));
    let Some(at) = crossing.at else {
        return format!("{from} and {to} do not cross within the range of {param}.");
    };
    let overtakes = overtakes(to);
    let confidence = super::units::significant(analysis.confidence * 100.0, 3);
    if let Some(place) = facts::from_on(analysis, crossing) {
        return format!("{to} {overtakes} {from} {place} ({confidence} % confidence).");
    }
    let place = place(analysis, crossing, at);
    let interval = match (&place, crossing.ci) {
        (Place::At(_), Some([low, high])) => {
            format!(" ({confidence} % interval {} to {})", unit.show(low), unit.show(high))
        }
        (Place::Between(_), _) => format!(" ({confidence} % interval)"),
        _ => String::new(),
    };
    format!("{to} {overtakes} {from} {} {param}{interval}.", place.words(unit))
}

/// "threads overtake", "event-loop overtakes".
fn overtakes(name: &str) -> &'static str {
    if facts::is_plural(name) { "overtake" } else { "overtakes" }
}

/// The figures of a slice as a table: a row per cell, a column per strategy, and the call.
pub(crate) fn table(
    analysis: &Analysis,
    slice: &Slice<'_>,
    figure: impl Fn(&StrategyStats) -> (f64, [f64; 2]),
) -> Table {
    let mut header = vec![label(&slice.axis.param)];
    header.extend(analysis.strategies.iter().cloned());
    header.push("verdict".to_owned());
    let rows = slice.cells.iter().map(|(_, cell)| {
        let value = cell.params.get(&slice.axis.param).unwrap_or(&ParamValue::Int(0));
        let mut row = vec![show_param(&slice.axis.param, value)];
        row.extend(cell.stats.iter().enumerate().map(|(strategy, stats)| match stats {
            Some(stats) => figures(figure(stats)),
            None => facts::absent(analysis, cell, strategy).to_owned(),
        }));
        row.push(facts::call_words(&facts::call(cell)));
        row
    });
    Table { rows: rows.collect(), header }
}

/// `1.25 ms (1.2 ms – 1.31 ms)`.
pub(crate) fn figures((value, ci): (f64, [f64; 2])) -> String {
    format!("{} ({} – {})", Unit::NS.show(value), Unit::NS.show(ci[0]), Unit::NS.show(ci[1]))
}
