//! PostgreSQL, as a server that tests can kill.
//!
//! * `postgres` and `initdb` refuse to run as root. If this process is root, they run as the user `postgres` or `nobody`,
//!   and the data folder belongs to that user.
//! * `fsync` stays on, so that tests with [`Postgres::kill`] run with the settings of a real server.
//! * There is no Unix socket: its path would be too long in a long `$TMPDIR`.
//! * The server reacts to the end of this process with an immediate shutdown (SIGQUIT). SIGKILL would leave a System V
//!   shared memory segment behind each time, and Linux allows 4096 of them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, geteuid, kill_process, waitid};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::eventually::within;
use crate::process::{Process, Signal};
use crate::scratch::{Scratch, free_port};

/// Timeout for `initdb`, a start with crash recovery, and a query. A busy machine needs a few seconds.
const DEADLINE: Duration = Duration::from_secs(60);
/// Timeout for a shutdown, in which the server syncs everything to the disk.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Timeout for processes that got SIGKILL or SIGQUIT.
const KILL_DEADLINE: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

const SUPERUSER: &str = "postgres";
/// The first version that the project supports.
const LEAST_VERSION: u32 = 15;
const NOT_INSTALLED: &str = "PostgreSQL 15 or later is needed; run: deploy/install-dependencies.sh test";

/// A PostgreSQL server on a free port of the loopback interface. Every local user may connect as the superuser
/// `postgres` without a password. Its data is removed when this value is dropped.
///
/// Encoding and locale of its databases are UTF-8 and `C`, and the time zone is UTC.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    port: u16,
    programs: Programs,
    account: Option<Account>,
    // Declared last: it is removed after the server has ended.
    home: Home,
}

impl Postgres {
    /// Creates a data folder, starts a server on it, and waits until it answers queries.
    ///
    /// # Errors
    /// PostgreSQL is not installed, this process is root and there is neither a user `postgres` nor `nobody`, or the server
    /// does not answer within a minute.
    pub async fn start() -> Result<Self> {
        let account = Account::for_server()?;
        let home = Home::create(account.as_ref())?;
        let mut postgres = Self {
            process: None,
            port: free_port()?,
            programs: Programs::find(),
            account,
            home,
        };
        postgres.create_data().await?;
        postgres.restart().await?;
        Ok(postgres)
    }

    /// A server that all tests of this process share. They must not stop it, and each uses a
    /// [`fresh_database`](Self::fresh_database).
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        match SHARED.get_or_try_init(Self::start).await {
            Ok(postgres) => postgres,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// `postgres://postgres@127.0.0.1:port/database`, the same for its whole life. The database `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// The name has other characters than `a-z`, `0-9` and `_`, the database exists, or the server does not run.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        // A name that needs no escaping, neither in SQL nor in a URL.
        ensure!(
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')),
            "{name:?} is not a database name for a test; use a-z, 0-9 and _, for example shop_1"
        );
        self.query("postgres", &format!("CREATE DATABASE \"{name}\""))
            .await?;
        Ok(())
    }

    /// Creates an empty database with a random name, and returns its URL.
    ///
    /// # Errors
    /// The server does not run.
    pub async fn fresh_database(&self) -> Result<String> {
        let name = format!("t{:016x}", rand::random::<u64>());
        self.create_database(&name).await?;
        Ok(self.url(&name))
    }

    /// Runs SQL with `psql` and returns what it prints: a line for each row, with `|` between the columns.
    ///
    /// # Errors
    /// The server does not run, it rejects a statement, or there is no result within a minute.
    pub async fn query(&self, database: &str, sql: &str) -> Result<String> {
        query(&self.programs, &self.url(database), sql).await
    }

    /// Kills all processes of the server (SIGKILL) and waits for their end. Does nothing if it does not run.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A backend that is computing does not notice that the postmaster has died, and while it runs, the server
            // cannot start again.
            kill_backends(&mut process);
            process.kill();
        }
    }

    /// Starts it on the same port with the same data, and waits until it answers queries. Does nothing else if it runs.
    ///
    /// # Errors
    /// Same as [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        if self.process.is_none() {
            self.process = Some(self.launch()?);
        }
        let process = self.process.as_mut().context("PostgreSQL does not run")?;
        let url = format!("postgres://{SUPERUSER}@127.0.0.1:{}/postgres", self.port);
        within("PostgreSQL to answer queries", DEADLINE, async || {
            process.still_running()?;
            // Much cheaper than psql, which is needed only once the server listens.
            TcpStream::connect(("127.0.0.1", self.port)).await?;
            query(&self.programs, &url, "SELECT 1").await
        })
        .await
        .with_context(|| process.log_tail())?;
        Ok(())
    }

    /// Stops it with a fast shutdown (SIGINT): it ends all connections and writes a checkpoint. Does nothing if it does not
    /// run.
    ///
    /// # Errors
    /// It has ended already, or does not end within 30 s.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::INT)?;
            process.wait(STOP_DEADLINE).await?;
        }
        Ok(())
    }

    /// The process id of the postmaster, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The log since the first start; empty while it does not run.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    async fn create_data(&self) -> Result<()> {
        let data = self.data();
        fs::create_dir(&data).with_context(|| format!("create the folder {}", data.display()))?;
        if let Some(account) = &self.account {
            chown(&data, Some(account.uid), Some(account.gid))
                .with_context(|| format!("give {} to the user {}", data.display(), account.name))?;
        }
        let mut command = self.command(self.programs.path("initdb"));
        command
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", SUPERUSER, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C"])
            .args(["--no-sync", "--no-instructions"]);
        let log = self.home.path().join("initdb.log");
        let mut initdb = Process::spawn("initdb", command, &log).context(NOT_INSTALLED)?;
        let status = initdb.wait(DEADLINE).await?;
        ensure!(
            status.success(),
            "create PostgreSQL's data folder: {status}\n{}",
            initdb.log_tail()
        );
        Ok(())
    }

    /// Starts the server, and does not wait until it is ready.
    fn launch(&self) -> Result<Process> {
        // setpriv replaces itself with the server, after it has replaced the parent-death signal (see the module header).
        let mut command = self.command("setpriv".into());
        command
            .args(["--pdeathsig", "QUIT", "--"])
            .arg(self.programs.path("postgres"))
            .arg("-D")
            .arg(self.data());
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "max_connections=100".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ];
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        Process::spawn("PostgreSQL", command, &self.home.path().join("server.log"))
    }

    /// A command of the server's user.
    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        for name in postgres_variables() {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").current_dir(self.home.path());
        if let Some(account) = &self.account {
            // As root this also drops the supplementary groups.
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // Not SIGKILL, see the module header. The signal fails if the server has ended; then dropping `process` prints its log.
        if process.signal(Signal::QUIT).is_ok() {
            wait_until(|| !matches!(process.exited(), Ok(None)));
            process.kill();
        }
    }
}

/// Where PostgreSQL's programs are.
#[derive(Debug)]
struct Programs {
    /// `None`: on the `PATH`.
    folder: Option<PathBuf>,
}

impl Programs {
    /// Debian installs the server, in any number of versions, outside the `PATH`. The newest is used.
    fn find() -> Self {
        let versions = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        let newest = versions
            .filter_map(|entry| {
                let version: u32 = entry.file_name().to_str()?.parse().ok()?;
                let folder = entry.path().join("bin");
                let is_complete = ["initdb", "postgres", "psql"]
                    .iter()
                    .all(|program| folder.join(program).is_file());
                (version >= LEAST_VERSION && is_complete).then_some((version, folder))
            })
            .max();
        Self {
            folder: newest.map(|(_, folder)| folder),
        }
    }

    fn path(&self, program: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.join(program),
            None => program.into(),
        }
    }
}

/// An operating system user other than root.
#[derive(Debug)]
struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` if this process is not root: then the server runs as the same user.
    fn for_server() -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let account = ["postgres", "nobody"]
            .iter()
            .find_map(|name| users.lines().find_map(|line| Self::parse(line, name)));
        match account {
            Some(account) => Ok(Some(account)),
            None => bail!("PostgreSQL does not run as root, and /etc/passwd has no user postgres or nobody"),
        }
    }

    /// Parses the line of `/etc/passwd` that belongs to `name`: `name:password:uid:gid:…`.
    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
        Some(Self {
            name: name.to_owned(),
            uid: fields.next()?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    }

    /// True if it may pass through `folder` and all folders above it.
    fn may_enter(&self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else {
            return false;
        };
        folder.ancestors().all(|folder| {
            fs::metadata(folder).is_ok_and(|metadata| {
                let search = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                metadata.mode() & search != 0
            })
        })
    }
}

/// The folder of the server's data and logs, removed on drop.
#[derive(Debug)]
enum Home {
    Scratch(Scratch),
    /// At the same place in `/tmp` or `/var/tmp`, because the server's user may not enter `$TMPDIR`.
    Public(PublicFolder),
}

impl Home {
    fn create(account: Option<&Account>) -> Result<Self> {
        let scratch = Scratch::new("postgres")?;
        let Some(account) = account else {
            return Ok(Self::Scratch(scratch));
        };
        open_for_search(scratch.path())?;
        if account.may_enter(scratch.path()) {
            return Ok(Self::Scratch(scratch));
        }
        let name = scratch
            .path()
            .file_name()
            .context("the scratch folder has no name")?;
        for root in ["/tmp", "/var/tmp"] {
            // If one folder fails, the other may still work.
            if let Ok(folder) = PublicFolder::create(Path::new(root), name)
                && account.may_enter(&folder.0)
            {
                return Ok(Self::Public(folder));
            }
        }
        bail!(
            "the user {} may enter neither {} nor /tmp; set TMPDIR to a folder that every user may enter",
            account.name,
            scratch.path().display()
        )
    }

    fn path(&self) -> &Path {
        match self {
            Self::Scratch(scratch) => scratch.path(),
            Self::Public(folder) => &folder.0,
        }
    }
}

/// Like [`Scratch`], but in another folder than `$TMPDIR`. If this process is killed, the folder stays until a test
/// process starts whose `$TMPDIR` is that folder.
#[derive(Debug)]
struct PublicFolder(PathBuf);

impl PublicFolder {
    fn create(root: &Path, name: &OsStr) -> Result<Self> {
        let parent = root.join("comptoir-harness");
        fs::create_dir_all(&parent)?;
        // Not create_dir_all: the folder must be new.
        fs::create_dir(parent.join(name))?;
        let folder = Self(parent.join(name));
        open_for_search(&folder.0)?;
        Ok(folder)
    }
}

impl Drop for PublicFolder {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept: {}", self.0.display());
        } else {
            // Nothing can be done about a folder that cannot be removed.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Lets every user pass through a new folder and the folder `comptoir-harness` around it, whatever the umask is. They can
/// open only files whose names they know and whose permissions let them.
fn open_for_search(folder: &Path) -> Result<()> {
    for folder in folder.ancestors().take(2) {
        let metadata =
            fs::symlink_metadata(folder).with_context(|| format!("inspect {}", folder.display()))?;
        // The outer folder may belong to another user, or be that user's link to anywhere.
        if metadata.is_dir() && metadata.uid() == geteuid().as_raw() {
            fs::set_permissions(folder, Permissions::from_mode(metadata.mode() | 0o011))
                .with_context(|| format!("change the permissions of {}", folder.display()))?;
        }
    }
    Ok(())
}

async fn query(programs: &Programs, url: &str, sql: &str) -> Result<String> {
    let mut command = tokio::process::Command::new(programs.path("psql"));
    for name in postgres_variables() {
        command.env_remove(name);
    }
    command
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
        .args(["--set", "ON_ERROR_STOP=1", "--command", sql, url])
        .env("LC_ALL", "C")
        .env("PGCLIENTENCODING", "UTF8")
        .kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output())
        .await
        .with_context(|| format!("psql: no result within {DEADLINE:?} of {sql:?}"))?
        .context("start psql")?;
    ensure!(
        output.status.success(),
        "psql: {sql:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    let printed = String::from_utf8(output.stdout).context("read psql's output")?;
    Ok(printed.trim_end().to_owned())
}

/// Variables such as `PGPORT` and `PGOPTIONS`, which set a developer's defaults for all PostgreSQL programs.
fn postgres_variables() -> impl Iterator<Item = OsString> {
    env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.as_encoded_bytes().starts_with(b"PG"))
}

/// Kills the child processes of the postmaster and waits for their end. It leaves the postmaster suspended.
fn kill_backends(postmaster: &mut Process) {
    // A suspended postmaster starts no backend. It does not reap one either, so the kernel does not reuse their ids.
    let Some(pid) = Pid::from_raw(postmaster.pid().cast_signed()) else {
        return;
    };
    if postmaster.signal(Signal::STOP).is_err() {
        return; // It has ended.
    }
    let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    if waitid(WaitId::Pid(pid), stopped).is_err() {
        return;
    }
    for backend in running_children(pid) {
        // This fails if the backend has ended in the meantime.
        let _ = kill_process(backend, Signal::KILL);
    }
    wait_until(|| running_children(pid).is_empty());
}

/// The children of a process that are not zombies.
fn running_children(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            // `pid (name) state ppid …`; the name may contain spaces and parentheses.
            let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
            let (state, ppid): (_, i32) = (fields.next()?, fields.next()?.parse().ok()?);
            (parent.as_raw_pid() == ppid && !matches!(state, "Z" | "X"))
                .then(|| Pid::from_raw(pid))
                .flatten()
        })
        .collect()
}

/// Blocks until processes that got a deadly signal have ended, for at most [`KILL_DEADLINE`].
fn wait_until(mut has_ended: impl FnMut() -> bool) {
    let end = Instant::now() + KILL_DEADLINE;
    while !has_ended() && Instant::now() < end {
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        let account = Account::parse(line, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert!(Account::parse(line, "post").is_none());
        assert!(Account::parse("postgres-old:x:7:7::/:/bin/sh", "postgres").is_none());
    }
}
