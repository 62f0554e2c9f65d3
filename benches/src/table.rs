//! The table of a benchmark.
use serde_json::{Value, json};
use std::{env, fs, io, path::PathBuf};

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The larger, as for requests per second.
    More,
    /// The smaller, as for seconds per request.
    Less,
}

struct Row {
    case: String,
    unit: String,
    ours: f64,
    peer: String,
    peer_value: f64,
    ratio: f64,
}

/// Rows of our value beside a peer's.
pub struct Table {
    name: String,
    rows: Vec<Row>,
}

impl Table {
    /// An empty table of the benchmark `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rows: Vec::new() }
    }

    /// Adds what was measured in one case.
    pub fn row(&mut self, case: &str, unit: &str, better: Better, ours: f64, peer: &str, peer_value: f64) {
        let ratio = match better {
            Better::More => ours / peer_value,
            Better::Less => peer_value / ours,
        };
        eprintln!("{case}: {} {unit}, {peer} {}: ratio {ratio:.2}", short(ours), short(peer_value));
        let (case, unit, peer) = (case.to_owned(), unit.to_owned(), peer.to_owned());
        self.rows.push(Row { case, unit, ours, peer, peer_value, ratio });
    }

    /// Prints it, as a table in Markdown, and writes it as JSON into the folder of benchmark results.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(&self) -> io::Result<()> {
        let cells: Vec<[String; 6]> = self
            .rows
            .iter()
            .map(|r| {
                let (ours, peer_value) = (short(r.ours), short(r.peer_value));
                [
                    r.case.clone(),
                    r.unit.clone(),
                    ours,
                    r.peer.clone(),
                    peer_value,
                    format!("**{:.2}**", r.ratio),
                ]
            })
            .collect();
        let head = ["case", "unit", "airglow", "peer", "peer's", "ratio"].map(str::to_owned);
        let widths: Vec<usize> = (0..6)
            .map(|n| cells.iter().chain([&head]).map(|row| row[n].chars().count()).max().unwrap_or(0))
            .collect();
        let line = |row: &[String; 6]| {
            let cells: Vec<_> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            println!("| {} |", cells.join(" | "));
        };
        line(&head);
        line(&std::array::from_fn(|n| "-".repeat(widths[n])));
        cells.iter().for_each(line);
        let rows: Vec<Value> = self.rows.iter().map(json).collect();
        let folder =
            env::var_os("AIRGLOW_BENCH_FOLDER").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{}.json", self.name));
        fs::write(&path, serde_json::to_string_pretty(&rows)? + "\n")?;
        eprintln!("written to {}", path.display());
        Ok(())
    }
}

fn json(row: &Row) -> Value {
    json!({
        "case": row.case, "unit": row.unit, "ours": row.ours,
        "peer": row.peer, "peer_value": row.peer_value, "ratio": row.ratio,
    })
}

/// Three significant digits or all before the point, with thin grouping left to the reader.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value in the middle, which a few disturbed ones do not move; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_above_one_where_ours_is_better() {
        let mut table = Table::new("test");
        table.row("rate", "requests/s", Better::More, 200.0, "peer", 100.0);
        table.row("cost", "s", Better::Less, 2.0, "peer", 5.0);
        assert_eq!(table.rows.iter().map(|r| r.ratio).collect::<Vec<_>>(), [2.0, 2.5]);
        assert_eq!(json(&table.rows[1])["peer_value"], 5.0);
    }
}
