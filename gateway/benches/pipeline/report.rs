//! The results, as a table and as JSON.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

/// The required value of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(least) => value >= least,
            Target::AtMost(most) => value <= most,
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Row {
    what: String,
    /// The median of `runs`.
    value: f64,
    unit: &'static str,
    /// One value per pair, in the order of measurement.
    runs: Vec<f64>,
    /// The smallest and the largest of `runs`. A difference within this range means nothing.
    min: f64,
    max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a figure without a target.
    pub fn figure(&mut self, what: impl Into<String>, unit: &'static str, runs: impl Into<Vec<f64>>) {
        self.add(what.into(), unit, runs.into(), None);
    }

    /// Adds a figure with a target.
    pub fn figure_with_target(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        runs: impl Into<Vec<f64>>,
        target: Target,
    ) {
        self.add(what.into(), unit, runs.into(), Some(target));
    }

    fn add(&mut self, what: String, unit: &'static str, runs: Vec<f64>, target: Option<Target>) {
        let value = median(&runs);
        let row = Row {
            what,
            value,
            unit,
            min: percentile(&runs, 0.0),
            max: percentile(&runs, 1.0),
            runs,
            target,
            met: target.map(|target| target.is_met(value)),
        };
        // Printed at once, because a full run takes long.
        eprintln!("  {row}");
        self.rows.push(row);
    }

    /// Writes the JSON file and returns its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, arguments: &impl Serialize) -> Result<PathBuf> {
        // Cargo's folder for benchmarks is target/tmp.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .context("find the target folder")?;
        let folder = target.join("bench");
        fs::create_dir_all(&folder)?;
        let file = folder.join("pipeline.json");
        let cores = std::thread::available_parallelism()?;
        let text = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cores": cores.get(),
            "arguments": arguments,
            "rows": self.rows,
        });
        fs::write(&file, format!("{text:#}\n")).with_context(|| format!("write {}", file.display()))?;
        Ok(file)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match self.target {
            None => String::new(),
            Some(Target::AtLeast(least)) => format!("≥ {}", number(least)),
            Some(Target::AtMost(most)) => format!("≤ {}", number(most)),
        };
        let met = match self.met {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        let Self { what, unit, .. } = self;
        let value = number(self.value);
        // A single run has no spread.
        let spread = match self.runs.len() {
            0 | 1 => String::new(),
            _ => format!("{} … {}", number(self.min), number(self.max)),
        };
        let line = format!("{what:<74} {value:>10} {unit:<10} {spread:>19} {target:>9}  {met}");
        f.write_str(line.trim_end())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = format!(
            "{:<74} {:>10} {:<10} {:>19} {:>9}",
            "", "median", "", "min … max", "target"
        );
        writeln!(f, "{heading}")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

/// The number with three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The median; NaN without values.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The smallest value that is not below the given share of all values (nearest rank); NaN without values.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The ratio of each pair.
pub fn ratios(values: &[f64], references: &[f64]) -> Vec<f64> {
    values
        .iter()
        .zip(references)
        .map(|(value, reference)| value / reference)
        .collect()
}
