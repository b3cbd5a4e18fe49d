//! PostgreSQL, as a server that tests can kill.
//!
//! * `postgres` and `initdb` refuse to run as root. If this process is root, they run as the user `postgres` or `nobody`,
//!   and the data folder belongs to that user.
//! * `fsync` stays on, so that tests with [`Postgres::kill`] run with the settings of a real server.
//! * There is no Unix socket: its path would be too long in a long `$TMPDIR`.
//! * The server reacts to the end of this process with an immediate shutdown (SIGQUIT). SIGKILL would leave a System V
//!   shared memory segment behind each time, and Linux allows 4096 of them.

mod account;
mod backends;
mod home;
mod programs;

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use self::account::Account;
use self::backends::{kill_backends, wait_until};
use self::home::Home;
use self::programs::{Programs, postgres_variables};
use crate::eventually::within;
use crate::process::{Process, Signal};
use crate::scratch::free_port;

/// Timeout for `initdb`, a start with crash recovery, and a query. A busy machine needs a few seconds.
const DEADLINE: Duration = Duration::from_secs(60);
/// Timeout for a shutdown, in which the server syncs everything to the disk.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

const SUPERUSER: &str = "postgres";
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
        self.programs.query(DEADLINE, &self.url(database), sql).await
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
            self.programs.query(DEADLINE, &url, "SELECT 1").await
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
