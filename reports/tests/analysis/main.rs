//! The analysis against synthetic samples whose truth is known.
mod adaptive;
mod calibration;
mod crossings;
mod folder;
mod properties;
mod speed;
mod synthetic;
mod verdicts;
