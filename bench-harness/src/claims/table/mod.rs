//! The claims, one entry each: what is said and by whom, the bounds that it comes to, and the experiment.
//!
//! A claim is written as bounds on figures ([`Bound`]); what CLAIMS expects besides is a bound that decides nothing. No entry says how it
//! comes out, only how it was expected to, which the report compares.
mod early;
mod late;
mod learned;
mod middle;
mod public;

use crossover_reports::claims::{Group, Kind, Must, Unit, Verdict, Whose};

use super::figures::Outcome;
use super::trial::Setup;

/// Makes one repeat of an experiment.
pub(crate) type Driver = fn(&Setup) -> Outcome;

/// A claim. The builder's methods below read as sentences in the tables.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Numbers or names, the main one first.
    pub ids: &'static [&'static str],
    /// Whose it is.
    pub group: Group,
    /// What can decide it.
    pub kind: Kind,
    /// What is claimed.
    pub says: &'static str,
    /// Where it stands.
    pub source: &'static str,
    /// What is known to be doubtful about it.
    pub caveat: &'static str,
    /// The figure that the source gives.
    pub cited: &'static str,
    /// What CPython did where the claims were first tried.
    pub recorded: &'static str,
    /// What was expected of our runtime.
    pub wanted: &'static str,
    /// The verdict that was expected of our figures, where one was.
    pub expected: Option<Verdict>,
    /// The experiment, in a sentence.
    pub how: &'static str,
    /// What is measured, the main figure first.
    pub figures: &'static [(&'static str, Unit)],
    /// What must hold.
    pub bounds: &'static [Bound],
    /// Measures it on our runtime.
    pub(crate) run: Option<Driver>,
    /// What the CPython script calls its main figure, where CPython has this experiment too.
    pub python: Option<&'static str>,
    /// The project that the claim is about, where it is measured here too.
    pub peer: Option<Beside>,
    /// All that it does is wait for a long time: in the quick pass all sides do so at once.
    pub waits: bool,
    /// Repeats in the quick pass, which leaves out what has none.
    pub repeats: u32,
    /// Repeats in full.
    pub in_full: u32,
}

/// A project that a claim is about.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// What it is called.
    pub name: &'static str,
    /// Makes one repeat of the same experiment on it.
    pub(crate) run: Driver,
}

/// A bound on a figure.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The figure.
    pub figure: &'static str,
    /// What it must keep to.
    pub must: Must,
    /// Whose figure.
    pub of: Whose,
    /// Whether the claim needs it.
    pub claim: bool,
}

const fn bound(figure: &'static str, must: Must) -> Bound {
    Bound { figure, must, of: Whose::All, claim: true }
}

/// Not above `most`.
const fn at_most(figure: &'static str, most: f64) -> Bound {
    bound(figure, Must::AtMost(most))
}

/// Not below `least`.
const fn at_least(figure: &'static str, least: f64) -> Bound {
    bound(figure, Must::AtLeast(least))
}

/// `value`, give or take the share `within`.
const fn about(figure: &'static str, value: f64, within: f64) -> Bound {
    bound(figure, Must::about(value, within))
}

/// From `low` to `high`.
const fn between(figure: &'static str, low: f64, high: f64) -> Bound {
    bound(figure, Must::Between(low, high))
}

impl Bound {
    /// For our figures only.
    const fn ours(self) -> Self {
        Self { of: Whose::Ours, ..self }
    }

    /// For CPython's figures only.
    const fn cpython(self) -> Self {
        Self { of: Whose::Cpython, ..self }
    }

    /// For the figures of the project that the claim is about only.
    const fn peer(self) -> Self {
        Self { of: Whose::Peer, ..self }
    }

    /// Expected, but not needed by the claim.
    const fn expected(self) -> Self {
        Self { claim: false, ..self }
    }
}

/// A claim of the articles that says `says`; a judgement until it gets figures.
const fn claim(ids: &'static [&'static str], says: &'static str) -> Claim {
    Claim {
        ids,
        group: Group::Articles,
        kind: Kind::Qualitative,
        says,
        source: "one of four articles on Python's asyncio (S0 to S3)",
        caveat: "",
        cited: "",
        recorded: "",
        wanted: "",
        expected: Some(Verdict::Reproduced),
        how: "",
        figures: &[],
        bounds: &[],
        run: None,
        python: None,
        peer: None,
        waits: false,
        repeats: 2,
        in_full: IN_FULL,
    }
}

/// Repeats in full, unless a claim says otherwise: what is short or scatters takes more of them, what is long and clear fewer.
const IN_FULL: u32 = 5;

impl Claim {
    /// A fact, which checks decide.
    const fn fact(self) -> Self {
        Self { kind: Kind::Fact, ..self }
    }

    /// The source's figure, and what CPython did; either may be empty.
    const fn cites(self, cited: &'static str, recorded: &'static str) -> Self {
        Self { cited, recorded, ..self }
    }

    /// What was expected of our runtime.
    const fn wants(self, wanted: &'static str) -> Self {
        Self { wanted, ..self }
    }

    /// The experiment and its figures.
    const fn measures(
        self,
        how: &'static str,
        run: Driver,
        figures: &'static [(&'static str, Unit)],
        bounds: &'static [Bound],
    ) -> Self {
        Self { kind: Kind::Figure, how, run: Some(run), figures, bounds, ..self }
    }

    /// CPython has the same experiment, with the same main figure.
    const fn also_in_python(self) -> Self {
        let main = match self.figures {
            [(main, _), ..] => main,
            [] => "",
        };
        self.in_python_as(main)
    }

    /// CPython has the same experiment, with this one as its main figure.
    const fn in_python_as(self, main: &'static str) -> Self {
        Self { python: Some(main), ..self }
    }

    /// It is about the project `name`, on which `run` makes the same experiment.
    const fn about_peer(self, name: &'static str, run: Driver) -> Self {
        Self { peer: Some(Beside { name, run }), ..self }
    }

    /// It was expected to come out as refuted.
    const fn refuted(self) -> Self {
        Self { expected: Some(Verdict::Refuted), ..self }
    }

    /// Nothing was expected of it.
    const fn open(self) -> Self {
        Self { expected: None, ..self }
    }

    /// All that it does is wait for a long time.
    const fn waits(self) -> Self {
        Self { waits: true, ..self }
    }

    /// Too long for the quick pass.
    const fn in_full_only(self) -> Self {
        self.repeated(0)
    }

    /// What is known to be doubtful.
    const fn but(self, caveat: &'static str) -> Self {
        Self { caveat, ..self }
    }

    /// Repeats in the quick pass.
    const fn repeated(self, repeats: u32) -> Self {
        Self { repeats, ..self }
    }

    /// Repeats in full.
    const fn in_full(self, in_full: u32) -> Self {
        Self { in_full, ..self }
    }

    /// Its main id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.ids.first().copied().unwrap_or_default()
    }
}

/// The tables, in their order.
const TABLES: [&[Claim]; 5] = [early::CLAIMS, middle::CLAIMS, late::CLAIMS, learned::CLAIMS, public::CLAIMS];

/// Every claim.
pub fn all() -> impl Iterator<Item = &'static Claim> {
    TABLES.into_iter().flatten()
}

/// The claim of this number or name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Claim> {
    all().find(|claim| claim.ids.contains(&id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::facts;
    use super::*;

    #[test]
    fn no_row_is_missing_and_none_stands_twice() {
        let ids: Vec<&str> = all().flat_map(|claim| claim.ids).copied().collect();
        let set: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), set.len(), "an id stands twice");
        // These six numbers make no claim.
        let none = [31, 38, 39, 43, 61, 65];
        for number in (1..=80).filter(|number| !none.contains(number)) {
            assert!(set.contains(number.to_string().as_str()), "row {number} is missing");
        }
        for name in [
            "x1",
            "x2",
            "x3",
            "x4",
            "x5",
            "break-even",
            "loop-lag",
            "kernels",
            "ctx-switch",
            "spawn-cost",
            "1m-tasks",
            "tokio-fs",
            "blocking-pool",
            "rayon-idle",
            "io-starve",
            "gil-free",
            "loky-short",
        ] {
            assert!(set.contains(name), "{name} is missing");
        }
    }

    #[test]
    fn every_claim_can_be_decided_by_what_it_says_decides_it() {
        for claim in all() {
            let id = claim.id();
            let facts = facts::ALL.iter().filter(|fact| fact.row == id).count();
            match claim.kind {
                Kind::Figure => {
                    assert!(claim.run.is_some() && !claim.how.is_empty(), "{id}");
                    assert!(
                        claim.bounds.iter().any(|bound| bound.claim && bound.of != Whose::Cpython),
                        "{id}"
                    );
                }
                Kind::Fact => assert!(facts > 0, "{id} has no check"),
                Kind::Qualitative => assert!(claim.run.is_none() && facts == 0, "{id}"),
            }
            for bound in claim.bounds {
                let known = claim.figures.iter().any(|(name, _)| *name == bound.figure);
                assert!(known, "{id}: a bound on {}, which nobody measures", bound.figure);
            }
            let main = claim.python.is_none_or(|main| claim.figures.iter().any(|(name, _)| *name == main));
            assert!(main, "{id}: CPython's main figure is none of the row's");
            assert!(claim.repeats != 1 && claim.in_full > 1, "{id}: one repeat decides nothing");
            // A bound of the project's own, or one for everybody, decides a claim about it.
            let decides = |bound: &&Bound| bound.claim && matches!(bound.of, Whose::All | Whose::Peer);
            assert!(claim.peer.is_none() || claim.bounds.iter().any(|bound| decides(&bound)), "{id}");
            assert!(claim.peer.is_some() || claim.bounds.iter().all(|bound| bound.of != Whose::Peer), "{id}");
        }
        for fact in facts::ALL {
            assert!(find(fact.row).is_some_and(|claim| claim.id() == fact.row), "{}", fact.name);
            assert!(fact.name.starts_with("claim_0"), "{}", fact.name);
        }
    }

    #[test]
    fn a_claim_is_found_by_each_of_its_numbers() {
        assert_eq!(find("59").map(Claim::id), Some("16"));
        assert_eq!(find("x4").map(Claim::id), Some("x4"));
        assert!(find("31").is_none());
    }
}
