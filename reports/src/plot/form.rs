//! The two widths that every picture is drawn for: a page, and a phone.
//!
//! Letters are as large in both, so a narrow picture is a layout of its own rather than a smaller print of the wide one.

/// What a picture is laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A page: what stands in the files, and in wide windows.
    Wide,
    /// A phone held upright.
    Narrow,
}

impl Form {
    /// Width of the canvas.
    pub(crate) const fn width(self) -> f64 {
        match self {
            Self::Wide => 900.0,
            Self::Narrow => 400.0,
        }
    }

    /// Height of the canvas unless its content needs another one.
    pub(crate) const fn height(self) -> f64 {
        match self {
            Self::Wide => 520.0,
            Self::Narrow => 460.0,
        }
    }

    /// Distance of texts from the canvas's left and right edge.
    pub(crate) const fn margin(self) -> f64 {
        match self {
            Self::Wide => 24.0,
            Self::Narrow => 12.0,
        }
    }

    /// Sizes of the headline, the preferred one first.
    pub(crate) const fn title_sizes(self) -> [f64; 3] {
        match self {
            Self::Wide => [19.0, 17.0, 15.0],
            Self::Narrow => [17.0, 15.5, 14.0],
        }
    }

    /// The most lines of a headline that may be set in the preferred size, and the most of any.
    pub(crate) const fn title_lines(self) -> (usize, usize) {
        match self {
            Self::Wide => (2, 3),
            Self::Narrow => (4, 7),
        }
    }

    /// The most lines of a subtitle.
    pub(crate) const fn subtitle_lines(self) -> usize {
        match self {
            Self::Wide => 3,
            Self::Narrow => 9,
        }
    }

    /// Pixels for the names at the lines' ends, or before bars.
    pub(crate) const fn name_room(self) -> f64 {
        match self {
            Self::Wide => 250.0,
            Self::Narrow => 116.0,
        }
    }

    /// Picks by form.
    pub(crate) fn pick<T>(self, wide: T, narrow: T) -> T {
        match self {
            Self::Wide => wide,
            Self::Narrow => narrow,
        }
    }
}
