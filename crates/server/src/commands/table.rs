//! Columns, for people.

/// Rows of cells under headings. Columns in which no row says anything are left out.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned)],
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)));
    }

    pub(super) fn text(&self) -> String {
        let width = |column: usize| {
            let mut said = self.rows.iter().skip(1);
            let is_said = said.any(|row| !row[column].is_empty());
            let widths = self.rows.iter().map(|row| row[column].chars().count());
            widths.max().filter(|_| is_said).unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                if width > 0 {
                    line += &format!("{cell:width$}  ");
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Nothing of what encoders call themselves steers a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_empty_ones_are_left_out() {
        let mut table = Table::new(["A", "B", "C"]);
        table.row(["long\x1b[2J".to_owned(), String::new(), "1".to_owned()]);
        table.row(["ä".to_owned(), String::new(), "22".to_owned()]);
        assert_eq!(table.text(), "A        C\nlong[2J  1\nä        22\n");
    }
}
