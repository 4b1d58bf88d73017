//! A terminal: the table stays at its top, what is typed and said scrolls below.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stdin, stdout};

/// ECMA-48 and DEC: clear, set the lines that scroll, go to a line, keep and restore the place.
const CLEAR: &str = "\x1b[2J";
const CLEAR_LINE: &str = "\x1b[K";
const KEEP: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
const ALL_SCROLLS: &str = "\x1b[r";

/// The screen; as it was before when this is dropped.
pub(crate) struct Screen {
    /// Lines of the table; `None` where there is no terminal, or too small a one.
    height: Option<usize>,
}

impl Screen {
    /// Takes so many lines at the top, if there is a terminal that has as many again.
    pub(crate) fn open(height: usize) -> Self {
        let screen = Self {
            height: rows().filter(|&rows| rows >= height + 6).map(|_| height),
        };
        if screen.is_live() {
            print!("{CLEAR}\x1b[{};1H", height + 1);
        }
        screen
    }

    /// Whether the table is shown all the time.
    pub(crate) fn is_live(&self) -> bool {
        self.height.is_some()
    }

    /// Shows the table.
    pub(crate) fn draw(&self, lines: &[String]) {
        let (Some(height), Some(rows), columns) = (self.height, rows(), columns()) else {
            return;
        };
        // The terminal may have another size by now; to set what scrolls moves the cursor.
        let mut text = format!("{KEEP}\x1b[{};{rows}r", height + 1);
        for at in 0..height {
            let line = lines.get(at).map_or("", String::as_str);
            let line: String = line.chars().take(columns).collect();
            let _ = write!(text, "\x1b[{};1H{line}{CLEAR_LINE}", at + 1);
        }
        text += RESTORE;
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_live() {
            print!("{KEEP}{ALL_SCROLLS}{RESTORE}");
            let _ = stdout().flush();
        }
    }
}

fn rows() -> Option<usize> {
    if !(stdin().is_terminal() && stdout().is_terminal()) {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    Some(size.ws_row.into())
}

fn columns() -> usize {
    rustix::termios::tcgetwinsize(stdout()).map_or(80, |size| size.ws_col.into())
}
