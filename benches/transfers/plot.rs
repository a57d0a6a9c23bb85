//! A picture of the largest file's transfers.

use std::fmt::Write;

use crate::{
    series::{MIDDLE, Series},
    table::{Row, Table},
    tools::Direction,
};

const WIDTH: f64 = 860.0;
const NAMES_WIDTH: f64 = 190.0;
const PANEL_WIDTH: f64 = 205.0;
/// Of a panel, the rest is for the number behind it.
const BAR_WIDTH: f64 = 150.0;
const LINE: f64 = 24.0;

/// A column of bars.
struct Panel {
    title: &'static str,
    of: fn(&Row) -> &Series,
    decimals: usize,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "wall, s",
        of: |row| &row.wall_s,
        decimals: 1,
    },
    Panel {
        title: "CPU, s per GiB",
        of: |row| &row.cpu_s_per_gib,
        decimals: 2,
    },
    Panel {
        title: "peak memory, MiB",
        of: |row| &row.peak_mib,
        decimals: 0,
    },
];

/// Bars for the medians, from least to greatest a thin line.
pub(crate) fn svg(tables: &[Table]) -> String {
    let shown: Vec<&Table> = Direction::BOTH
        .iter()
        .filter_map(|direction| {
            let races = tables.iter().filter(|table| table.is_race && table.link.is_none());
            races
                .filter(|table| table.direction == *direction)
                .max_by_key(|table| table.bytes)
        })
        .collect();
    let mut body = String::new();
    let mut y = LINE;
    for (index, panel) in PANELS.iter().enumerate() {
        let x = NAMES_WIDTH + index as f64 * (PANEL_WIDTH + 15.0);
        put(&mut body, x, y, "bold", panel.title);
    }
    for table in &shown {
        y += LINE;
        put(&mut body, 10.0, y, "bold", &table.title());
        for row in &table.rows {
            y += LINE;
            put(&mut body, 20.0, y, "normal", &row.who);
            for (index, panel) in PANELS.iter().enumerate() {
                let rows = shown.iter().flat_map(|table| &table.rows);
                let values = rows
                    .map(|row| (panel.of)(row).at(1.0))
                    .filter(|value| value.is_finite());
                let scale = BAR_WIDTH / values.fold(f64::MIN_POSITIVE, f64::max);
                let x = NAMES_WIDTH + index as f64 * (PANEL_WIDTH + 15.0);
                bar(&mut body, x, y, scale, row, panel);
            }
        }
    }
    let height = y + LINE / 2.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn put(body: &mut String, x: f64, y: f64, weight: &str, text: &str) {
    // A string takes all that is written to it.
    let _ = writeln!(
        body,
        "<text x=\"{x:.0}\" y=\"{y:.0}\" font-weight=\"{weight}\">{text}</text>"
    );
}

fn bar(body: &mut String, x: f64, y: f64, scale: f64, row: &Row, panel: &Panel) {
    let series = (panel.of)(row);
    if series.is_empty() {
        return;
    }
    let [least, median, greatest] = [0.0, MIDDLE, 1.0].map(|share| series.at(share));
    let colour = match (row.is_agent(), row.is_peer) {
        (true, _) => "#2b6cb0",
        (false, true) => "#a0aec0",
        (false, false) => "#e2e8f0",
    };
    let _ = writeln!(
        body,
        "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\n\
         <path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"#1a202c\"/>",
        y - 13.0,
        (median * scale).max(1.0),
        LINE - 7.0,
        x + least * scale,
        x + greatest * scale,
        middle = y - 4.5,
    );
    let text = format!("{median:.decimals$}", decimals = panel.decimals);
    put(body, x + greatest * scale + 6.0, y, "normal", &text);
}
