//! What is wrong where `ca-cli` works: another passphrase, a database of a newer version, a clock before the authorities began,
//! a disk that is full. Exit status 1 where somebody must act first, 3 where the same command may succeed later; one line that
//! says what would be right.

use ca_e2e::cli::Terminal;
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::outcome::Outcome;
use ca_e2e::record::damage;
use ca_e2e::small_disk::SmallDisk;
use ca_e2e::stack::Site;

/// The line that says why.
fn why(outcome: &Outcome) -> &str {
    outcome.errors.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default()
}

/// Refused with one line that holds all of `hints`; nothing is written.
fn is_refused(terminal: &Terminal, code: i32, hints: &[&str]) -> anyhow::Result<()> {
    let outcome = terminal.refused(code, &["issue", "client", "cliente"], hints)?;
    for hint in hints {
        assert!(why(&outcome).contains(hint), "`{hint}` is not in the first line: {outcome:?}");
    }
    assert!(!terminal.path("cliente.key").exists() && !terminal.path("cliente.crt").exists(), "{outcome:?}");
    Ok(())
}

#[test]
fn another_passphrase() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?;
    let mut terminal = Terminal::local_at(&site)?;
    terminal.set("CA__SEAL__PASSPHRASE", "another passphrase altogether");
    is_refused(&terminal, 1, &["CA__SEAL__PASSPHRASE", "give the passphrase that was in use"])?;
    Terminal::local_at(&site)?.done(&["issue", "client", "cliente"])?;
    Ok(())
}

#[test]
fn a_database_from_a_newer_version() -> anyhow::Result<()> {
    let site = Site::embedded()?;
    damage(
        &site,
        "INSERT INTO _sqlx_migrations SELECT 99, 'later', installed_on, 1, checksum, 1 FROM _sqlx_migrations LIMIT 1",
    )?;
    is_refused(&Terminal::local_at(&site)?, 1, &["newer version", "99", "install that version or a later one"])
}

#[test]
fn a_clock_before_the_authorities_began() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    let clock = FakeClock::of(&mut site)?;
    clock.set("-400d")?;
    let terminal = Terminal::local_at(&site)?;
    is_refused(&terminal, 3, &["clock", "it signs nothing", "set the clock"])?;
    clock.set("+0")?;
    terminal.done(&["issue", "client", "cliente"])?;
    Ok(())
}

#[test]
fn a_server_whose_clock_is_wrong() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    let clock = FakeClock::of(&mut site)?;
    let stack = site.serve()?;
    let terminal = crate::cli_remote::administrator(&stack)?;
    // Less than certificates are backdated by: the administrator is still let in.
    clock.set("-3m")?;
    is_refused(&terminal, 3, &["the service's clock is wrong", "its operator must set the clock"])?;
    clock.set("+0")?;
    Ok(())
}

#[test]
fn a_disk_that_is_full() -> anyhow::Result<()> {
    let mut site = Site::empty(&[])?;
    let disk = SmallDisk::under(&mut site, 24)?;
    disk.fill()?;
    let (made, said) = site.run(&["init"])?;
    assert!(!made && said.contains("make room on that disk"), "{said}");
    assert_eq!(said.matches("No space left on device").count(), 1, "{said}");
    is_refused(&Terminal::local_at(&site)?, 3, &["ca-data/lock", "make room on that disk"])?;
    disk.make_room()?;
    let (made, said) = site.run(&["init"])?;
    assert!(made, "what was begun can be repeated: {said}");

    disk.fill()?;
    let terminal = Terminal::local_at(&site)?;
    is_refused(&terminal, 3, &["make room"])?;
    disk.make_room()?;
    terminal.done(&["issue", "client", "cliente"])?;
    assert!(terminal.path("cliente.crt").exists(), "it is written where the command was given");
    Ok(())
}
