//! What every picture must keep, whatever the data: nothing clipped, no text over another, words for those who cannot see.
use super::canvas::{Rect, Text};
use super::*;
use crate::synthetic;

/// Every text lies on the canvas, and no two overlap, as the real outlines measure them.
fn check_geometry(name: &str, scene: &Scene) {
    let texts: Vec<(&Text, Rect)> = scene.texts().map(|t| (t, t.bounds())).collect();
    assert!(!texts.is_empty(), "{name}");
    for (i, (text, bounds)) in texts.iter().enumerate() {
        let inside = scene.bounds().inset(2.0).contains(bounds);
        assert!(inside, "{name}: {:?} is clipped: {bounds:?}", text.content);
        for (other, box_of_other) in &texts[..i] {
            assert!(
                !bounds.inset(0.5).overlaps(box_of_other),
                "{name}: {:?} and {:?} overlap: {bounds:?} {box_of_other:?}",
                text.content,
                other.content
            );
        }
    }
}

/// Writes a figure in all its looks to the folder that [`LOOK`] names.
fn show(name: &str, figure: &Figure) {
    let Some(folder) = std::env::var_os(LOOK) else { return };
    let path = |look: &str| std::path::Path::new(&folder).join(format!("{name}_{}{look}", figure.stem));
    let png = |scene: &Scene, scheme| bitmap::print(scene, scheme).unwrap();
    std::fs::write(path(".svg"), figure.svg("")).unwrap();
    std::fs::write(path(".png"), figure.png().unwrap()).unwrap();
    std::fs::write(path(".narrow.png"), png(&figure.narrow, style::Colour::light)).unwrap();
    std::fs::write(path(".dark.png"), png(&figure.scene, style::Colour::dark)).unwrap();
}

#[test]
fn no_text_is_clipped_or_overlaps_another_whatever_the_data() {
    for analysis in synthetic::nasty() {
        for figure in figures(&analysis) {
            show(&analysis.name, &figure);
            check_geometry(&format!("{}/{}", analysis.name, figure.stem), &figure.scene);
            check_geometry(&format!("{}/{}, narrow", analysis.name, figure.stem), &figure.narrow);
        }
    }
}

#[test]
fn no_text_is_clipped_or_overlaps_another_in_runs_at_random() {
    for seed in 0..24 {
        let analysis = synthetic::random(seed);
        for figure in figures(&analysis) {
            check_geometry(&format!("{}/{}", analysis.name, figure.stem), &figure.scene);
            check_geometry(&format!("{}/{}, narrow", analysis.name, figure.stem), &figure.narrow);
            synthetic::well_formed(&figure.svg_narrow("n-")).unwrap();
        }
    }
}

#[test]
fn the_same_run_gives_the_same_bytes_in_both_layouts() {
    let runs = || synthetic::nasty().into_iter().find(|run| run.name == "full").unwrap();
    let (first, second) = (figures(&runs()), figures(&runs()));
    for (a, b) in first.iter().zip(&second) {
        assert_eq!((a.svg("x"), a.svg_narrow("y")), (b.svg("x"), b.svg_narrow("y")), "{}", a.stem);
    }
}

#[test]
fn figures_of_a_group_are_one_map_by_each_metric() {
    let run = synthetic::nasty().into_iter().find(|run| run.name == "full").unwrap();
    let figures = figures(&run);
    let maps: Vec<(Option<Metric>, &str, &str)> = figures
        .iter()
        .filter(|f| f.metric.is_some())
        .map(|f| (f.metric, f.group.as_str(), f.stem.as_str()))
        .collect();
    let expected = [
        (Some(Metric::Wall), "winners", "winners"),
        (Some(Metric::Cpu), "winners", "winners-cpu"),
        (Some(Metric::Memory), "winners", "winners-memory"),
    ];
    assert_eq!(maps, expected);
    let open = synthetic::nasty().into_iter().find(|run| run.name == "open-load-map").unwrap();
    let metrics: Vec<Metric> = super::figures(&open).iter().filter_map(|f| f.metric).collect();
    assert_eq!(metrics, [Metric::Latency, Metric::Wall, Metric::Cpu, Metric::Memory], "the tail leads");
    // Sections follow each other in the order of the page.
    let place = |f: &Figure| Section::ALL.iter().position(|s| *s == f.section).unwrap();
    assert!(figures.windows(2).all(|pair| place(&pair[0]) <= place(&pair[1])));
    assert_eq!(figures.iter().map(place).collect::<std::collections::BTreeSet<_>>().len(), 8);
}

#[test]
fn every_svg_is_well_formed_and_says_what_it_shows() {
    for analysis in synthetic::nasty() {
        for figure in figures(&analysis) {
            let svg = figure.svg("p-");
            synthetic::well_formed(&svg)
                .unwrap_or_else(|why| panic!("{}/{}: {why}", analysis.name, figure.stem));
            assert!(svg.contains("role=\"img\"") && svg.contains("<title id=") && svg.contains("<desc id="));
            assert!(
                !figure.title.is_empty()
                    && !figure.description.is_empty()
                    && is_picture(&format!("{}.svg", figure.stem))
            );
            let table = &figure.table;
            assert!(table.rows.iter().all(|row| row.len() == table.header.len()), "{}", figure.stem);
        }
    }
}

#[test]
fn no_two_pictures_of_a_section_share_their_headline() {
    for analysis in synthetic::nasty() {
        let figures = figures(&analysis);
        for (i, figure) in figures.iter().enumerate() {
            let twin = figures[..i].iter().find(|f| f.section == figure.section && f.title == figure.title);
            assert!(twin.is_none(), "{}: {:?}", analysis.name, figure.title);
        }
    }
}

#[test]
fn stems_are_portable_and_unique() {
    let mut run = synthetic::mixed();
    run.axes[1].param = "wait/../us".to_owned();
    for cell in &mut run.cells {
        if let Some(value) = cell.params.remove("wait_us") {
            cell.params.insert("wait/../us".to_owned(), value);
        }
    }
    let stems: Vec<String> = figures(&run).into_iter().map(|f| f.stem).collect();
    for (i, stem) in stems.iter().enumerate() {
        assert!(!stem.contains('/') && stem.len() <= 110, "{stem}");
        assert!(!stems[..i].contains(stem), "{stem}");
    }
}
