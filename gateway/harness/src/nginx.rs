//! nginx as a reverse proxy in front of a gateway.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;

use crate::cache::cache;
use crate::eventually::within;
use crate::process::Process;
use crate::scratch::{Scratch, free_port};

const DEADLINE: Duration = Duration::from_secs(10);

/// An nginx with one site.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    _process: Process,
    scratch: Scratch,
}

impl Nginx {
    /// `site` is the content of a file in `/etc/nginx/sites-available`, with `PORT` in place of nginx's listen address.
    ///
    /// # Errors
    /// nginx is not installed, rejects the site, or does not listen within 10 s.
    pub async fn start(site: &str) -> Result<Self> {
        let (scratch, port) = (Scratch::new("nginx")?, free_port()?);
        let (folder, config) = (scratch.path(), scratch.join("nginx.conf"));
        let site = site.replace("PORT", &format!("127.0.0.1:{port}"));
        // One process, because workers would outlive a master that is killed. The other settings are Debian's, with the folders in the scratch folder.
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
            .concat();
        let log = scratch.join("access.log");
        let settings = format!(
            "daemon off;\nmaster_process off;\nerror_log stderr;\npid {}/pid;\nevents {{}}\nhttp {{\naccess_log {};\n{temporary}{site}\n}}\n",
            folder.display(),
            log.display()
        );
        fs::write(&config, settings)?;
        let mut command = Command::new(program()?);
        command.arg("-p").arg(folder).arg("-c").arg(&config);
        let mut process = Process::spawn("nginx", command, &scratch.join("nginx.log"))?;
        within("nginx to listen", DEADLINE, async || {
            process.still_running()?;
            TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(())
        })
        .await
        .context("start nginx")?;
        Ok(Self {
            port,
            _process: process,
            scratch,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The access log: one line per answered request, with its status.
    pub fn requests(&self) -> String {
        fs::read_to_string(self.scratch.join("access.log")).unwrap_or_default()
    }
}

/// Debian installs nginx outside the `PATH` of normal users. The install script may also have unpacked it into the cache.
fn program() -> Result<PathBuf> {
    let unpacked = cache()?.join("nginx/usr/sbin/nginx");
    let installed = PathBuf::from("/usr/sbin/nginx");
    Ok([installed, unpacked]
        .into_iter()
        .find(|program| program.is_file())
        .unwrap_or_else(|| "nginx".into()))
}
