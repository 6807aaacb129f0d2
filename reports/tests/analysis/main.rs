//! The analysis against synthetic samples whose truth is known.
mod adaptive;
mod calibration;
mod compare;
mod crossings;
mod folder;
mod openloop;
mod properties;
mod synthetic;
mod tails;
mod verdicts;
