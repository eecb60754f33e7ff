//! The only place that writes to the terminal: results to standard output, everything else to standard error.
//!
//! Colours and progress appear on a terminal only. A reader that goes away (`| head`) ends the output, not the command.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::OutputFormat;
use crate::exit::Failure;

/// Prints for one run of the program.
#[derive(Clone)]
pub(crate) struct Printer {
    format: OutputFormat,
    out: Arc<Mutex<dyn Write + Send>>,
    err: Arc<Mutex<dyn Write + Send>>,
    colour: bool,
    progress: bool,
    width: Option<u16>,
}

impl Printer {
    /// Prints to the standard streams. `colour_allowed` is false when the environment says `NO_COLOR`.
    pub(crate) fn of_process(format: OutputFormat, colour_allowed: bool) -> Self {
        let err_is_terminal = io::stderr().is_terminal();
        Self {
            format,
            out: Arc::new(Mutex::new(io::stdout())),
            err: Arc::new(Mutex::new(io::stderr())),
            colour: err_is_terminal && colour_allowed,
            progress: err_is_terminal,
            width: if io::stdout().is_terminal() { None } else { Some(NO_TERMINAL_WIDTH) },
        }
    }

    /// The same printer, whose spinners and counters stay hidden: for steps of something that shows its own progress.
    pub(crate) fn without_progress(&self) -> Self {
        Self { progress: false, ..self.clone() }
    }

    /// Prints a result: as JSON, or as what `text` makes of it.
    pub(crate) fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let printed = match self.format {
            OutputFormat::Json => serde_json::to_string_pretty(value).map_err(Failure::failed)?,
            OutputFormat::Table => text(value),
        };
        self.text(&printed)
    }

    /// Whether results are printed for programs: then one command has one.
    pub(crate) fn prints_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints text to standard output as it is, whatever the format: scripts, pages, secrets.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        match write!(out, "{text}{end}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Failure::Failed(format!("standard output: {error}"))),
        }
    }

    /// Tells something beside the result.
    pub(crate) fn note(&self, text: impl Display) {
        self.say(&format!("{text}\n"));
    }

    /// Tells of something that the caller should look after.
    pub(crate) fn warning(&self, text: impl Display) {
        self.say(&format!("{} {text}\n", self.painted("warning:", YELLOW)));
    }

    /// Tells why a command failed: every violation, and what to report it by.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.format == OutputFormat::Json
            && let Some(problem) = failure.problem()
            && let Ok(json) = serde_json::to_string_pretty(problem)
        {
            return self.say(&format!("{json}\n"));
        }
        let mut text = format!("{} {failure}\n", self.painted("error:", RED));
        if let Some(problem) = failure.problem() {
            // Where there is one violation, the problem's own words often repeat it.
            for violation in problem.errors.iter().filter(|violation| violation.detail != problem.detail) {
                text.push_str(&format!("  {}{}\n", place(&violation.pointer), violation.detail));
            }
            for candidate in &problem.candidates {
                text.push_str(&format!("  {candidate}\n"));
            }
            // Longer waits are told by the problem itself, as a time.
            if let Some(seconds) = problem.retry_after.filter(|seconds| *seconds <= LONGEST_COUNTDOWN) {
                text.push_str(&format!("try again in {seconds} s\n"));
            }
            if !problem.request_id.is_empty() {
                text.push_str(&format!("request id: {}\n", problem.request_id));
            }
        }
        if let Failure::RefusedHere { detail: Some(detail), .. } = failure {
            text.push_str(&format!("detail: {detail}\n"));
        }
        self.say(&text);
    }

    /// Shows that something is at work, on a terminal only; it disappears when dropped.
    pub(crate) fn spinner(&self, message: impl Display) -> Progress {
        let bar = ProgressBar::with_draw_target(None, self.draw_target()).with_style(ProgressStyle::default_spinner());
        bar.set_message(message.to_string());
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress { bar }
    }

    /// Shows how many of `total` are done, on a terminal only; it disappears when dropped.
    pub(crate) fn counter(&self, total: u64, message: impl Display) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(total), self.draw_target());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_message(message.to_string());
        Progress { bar }
    }

    /// A table for people, as wide as the terminal.
    pub(crate) fn table<const N: usize>(
        &self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = self.width {
            table.set_width(width);
        }
        table.set_header(header);
        for row in rows {
            // What comes from certificates must not reach the terminal as it is.
            table.add_row(row.map(|cell| plain(&cell)));
        }
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    fn say(&self, text: &str) {
        let mut err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is left to be told that standard error does not work.
        let _ = err.write_all(plain_lines(text, self.colour).as_bytes()).and_then(|()| err.flush());
    }

    fn painted(&self, text: &str, colour: &str) -> String {
        if self.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }

    fn draw_target(&self) -> ProgressDrawTarget {
        if self.progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
    }
}

/// Something at work on the terminal, until it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Says what is being done now.
    pub(crate) fn message(&self, message: impl Display) {
        self.bar.set_message(message.to_string());
    }

    /// One more is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// So many are done.
    pub(crate) fn place(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Runs something that prints, with the progress out of its way.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `text` without characters that a terminal would obey (certificates come from strangers).
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// The same for text of several lines, our own colours apart.
fn plain_lines(text: &str, colour: bool) -> String {
    let keep = |character: char| character == '\n' || (colour && character == '\u{1b}');
    text.chars()
        .map(|character| if character.is_control() && !keep(character) { '\u{fffd}' } else { character })
        .collect()
}

/// Where a violation is, for people: `?name` and JSON pointers as they are.
fn place(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!("{}: ", pointer.trim_start_matches('/')) }
}

const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const RESET: &str = "\u{1b}[0m";

/// Seconds that are better counted than read off a clock.
const LONGEST_COUNTDOWN: u32 = 600;

/// Tables for programs that read text are not folded.
const NO_TERMINAL_WIDTH: u16 = 1_000;

#[cfg(test)]
pub(crate) mod tests {
    use ca_api::problem::{Problem, ProblemType, Violation};

    use super::*;

    /// What was printed.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
        }
    }

    impl Write for Captured {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A printer, and what it prints to standard output and to standard error.
    pub(crate) fn captured(format: OutputFormat) -> (Printer, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let printer = Printer {
            format,
            out: Arc::new(Mutex::new(out.clone())),
            err: Arc::new(Mutex::new(err.clone())),
            colour: false,
            progress: false,
            width: Some(100),
        };
        (printer, out, err)
    }

    fn refusal() -> Failure {
        let violation = |pointer: &str, detail: &str| Violation {
            code: "wildcard-not-allowed".to_owned(),
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        };
        Failure::Refused(Box::new(Problem {
            kind: ProblemType::ProfileViolation,
            title: ProblemType::ProfileViolation.title().to_owned(),
            status: 422,
            detail: "profile `client` does not allow this certificate".to_owned(),
            errors: vec![
                violation("/subject_alternative_names/0", "`*.example.com` is a wildcard; name the host"),
                violation("/validity", "at most 730d"),
            ],
            request_id: "0193467e-ca00-7000-8000-0123456789ab".to_owned(),
            retry_after: None,
            candidates: Vec::new(),
        }))
    }

    #[test]
    fn a_refusal_is_told_with_every_violation_and_its_request_id() {
        let (printer, out, err) = captured(OutputFormat::Table);
        printer.failure(&refusal());
        assert_eq!(
            err.text(),
            "error: profile `client` does not allow this certificate\n  \
             subject_alternative_names/0: `*.example.com` is a wildcard; name the host\n  \
             validity: at most 730d\n\
             request id: 0193467e-ca00-7000-8000-0123456789ab\n"
        );
        assert_eq!(out.text(), "");
    }

    #[test]
    fn programs_get_the_problem_as_the_service_sent_it() {
        let (printer, _, err) = captured(OutputFormat::Json);
        printer.failure(&refusal());
        let problem: Problem = serde_json::from_str(&err.text()).expect("JSON");
        assert_eq!(problem.errors.len(), 2);
    }

    #[test]
    fn results_and_notes_do_not_mix() {
        let (printer, out, err) = captured(OutputFormat::Table);
        printer.note("a note");
        printer.result(&1, |number| format!("number {number}")).expect("printed");
        assert_eq!((out.text().as_str(), err.text().as_str()), ("number 1\n", "a note\n"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let (printer, _, err) = captured(OutputFormat::Table);
        printer.warning("\u{1b}[2J\rfooled");
        assert_eq!(err.text(), "warning: \u{fffd}[2J\u{fffd}fooled\n");
        assert_eq!(plain("a\u{9b}b\n"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn tables_have_no_blanks_at_the_end_of_lines() {
        let (printer, ..) = captured(OutputFormat::Table);
        let table =
            printer.table(["ID", "NAME"], [["1".to_owned(), "a".to_owned()], ["22".to_owned(), "bb".to_owned()]]);
        assert_eq!(table, " ID  NAME\n 1   a\n 22  bb\n");
    }
}
