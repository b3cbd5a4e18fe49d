//! Reads from strace's output what a process did to a few files: each change, and each moment at which the operating system
//! reported that the changes are on the disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Every system call that changes a file or makes it durable. `?` marks calls that not every architecture has.
const CALLS: &str = "?write,?writev,?pwrite64,?pwritev,?pwritev2,?truncate,?ftruncate,?fallocate,?mmap,\
                     ?copy_file_range,?sendfile,?splice,?unlink,?unlinkat,?rename,?renameat,?renameat2,\
                     ?fsync,?fdatasync,?sync_file_range,?msync";

/// The command line that runs the command after it under strace.
pub fn strace<'a>(output: &Path, files: impl IntoIterator<Item = &'a Path>) -> Vec<String> {
    // -D: the traced process is our child, so our signals reach it. -T: the duration of each call.
    // -xx -y: file names and bytes in hexadecimal, so that they cannot be mistaken for syntax.
    let options = "strace -D -f -q -ttt -T -y -xx -s 1000000 --seccomp-bpf";
    let mut command: Vec<String> = options.split(' ').map(str::to_owned).collect();
    command.extend(["-e".to_owned(), format!("trace={}", CALLS.replace(' ', ""))]);
    command.extend(["-o".to_owned(), output.display().to_string()]);
    for file in files {
        command.extend(["-P".to_owned(), file.display().to_string()]);
    }
    command
}

/// A change or a sync of a file.
#[derive(Debug)]
pub struct Step {
    /// The earliest time at which the change can have taken effect, Unix µs. For [`Action::Synced`], the latest.
    pub at: u64,
    /// The file's name, without its folder.
    pub file: String,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    Changed {
        change: Change,
        /// The time at which the call returned, Unix µs.
        done: u64,
    },
    /// Changes whose calls returned before `begun` (Unix µs) are on the disk.
    Synced { begun: u64 },
}

#[derive(Debug)]
pub enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
    Unlink,
    Rename { to: String },
}

/// Whether the traced process has ended and the trace is complete.
pub fn is_complete(output: &Path, pid: u32) -> Result<bool> {
    let text = std::fs::read(output)?;
    let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let last = String::from_utf8_lossy(last.unwrap_or_default()).into_owned();
    Ok(last.starts_with(&format!("{pid} ")) && last.ends_with("+++"))
}

/// Reads the steps, in the order of time.
pub fn read(output: &Path) -> Result<Vec<Step>> {
    let file = File::open(output).with_context(|| format!("open {}", output.display()))?;
    let mut unfinished: HashMap<String, (u64, String)> = HashMap::new();
    let mut steps = Vec::new();
    for line in BufReader::with_capacity(1 << 20, file).lines() {
        let line = line?;
        // strace pads short thread ids with spaces.
        let (thread, rest) = line.split_once(' ').context("a line without a thread")?;
        let (at, call) = rest
            .trim_start()
            .split_once(' ')
            .context("a line without a time")?;
        let at = micros(at)?;
        if call.starts_with("+++") || call.starts_with("---") {
            continue;
        }
        // Another thread's call was printed between the beginning and the end of this one.
        if let Some(begin) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread.to_owned(), (at, begin.to_owned()));
            continue;
        }
        let (at, call) = match call.strip_prefix("<... ") {
            Some(resumed) => {
                let end = resumed
                    .split_once("resumed>")
                    .context("half of a resumed call")?
                    .1;
                let (at, begin) = unfinished
                    .remove(thread)
                    .context("the end of a call without its beginning")?;
                (at, begin + end)
            }
            None => (at, call.to_owned()),
        };
        let short: String = call.chars().take(200).collect();
        steps.extend(step(at, &call).with_context(|| format!("read strace's line {short}"))?);
    }
    steps.sort_by_key(|step| step.at);
    Ok(steps)
}

/// Reads `pwrite64(12<\x2f…>, "\x00…", 24, 4152) = 24 <0.000011>`. Returns `None` if the call failed, only read, or did
/// not return, because then nothing can rely on it.
fn step(at: u64, call: &str) -> Result<Option<Step>> {
    let (call, outcome) = call.rsplit_once(" = ").context("no outcome")?;
    // The process was killed during the call.
    if outcome.starts_with('?') {
        return Ok(None);
    }
    let (returned, took) = outcome.rsplit_once(" <").context("no duration")?;
    if returned.starts_with("-1 ") {
        return Ok(None);
    }
    let done = at + micros(took.trim_end_matches('>'))?;
    let (name, arguments) = call.split_once('(').context("no arguments")?;
    // strace prints a space before the parenthesis of a resumed call.
    let arguments = arguments.trim_end().trim_end_matches(')').trim_end();
    let path = match name {
        "unlink" | "unlinkat" | "rename" | "renameat" | "renameat2" => {
            arguments.split('"').nth(1).unwrap_or_default()
        }
        _ => arguments
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map_or("", |(path, _)| path),
    };
    let number = |from_last: usize| {
        let number = arguments.rsplit(", ").nth(from_last);
        number.and_then(|number| number.parse::<usize>().ok())
    };
    let change = match name {
        "pwrite64" => {
            let text = arguments.split('"').nth(1).context("no bytes")?;
            let bytes = unhex(text)?;
            let written: usize = returned.parse().context("how much was written")?;
            ensure!(bytes.len() == written, "a write cut short");
            let offset = number(0).context("no offset")?;
            Change::Write { offset, bytes }
        }
        "ftruncate" => Change::Truncate {
            length: number(0).context("no length")?,
        },
        "unlink" | "unlinkat" => Change::Unlink,
        "rename" | "renameat" | "renameat2" => Change::Rename {
            to: file_name(arguments.split('"').nth(3).context("no new name")?)?,
        },
        "fsync" | "fdatasync" => {
            return Ok(Some(Step {
                at: done,
                file: file_name(path)?,
                action: Action::Synced { begun: at },
            }));
        }
        "mmap" if !arguments.contains("PROT_WRITE") => return Ok(None),
        // An incomplete replay would prove nothing, so the test fails.
        _ => bail!("this test cannot replay {name}"),
    };
    Ok(Some(Step {
        at,
        file: file_name(path)?,
        action: Action::Changed { change, done },
    }))
}

fn file_name(hex: &str) -> Result<String> {
    let path = String::from_utf8(unhex(hex)?).context("a path that is not UTF-8")?;
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(name.to_owned())
}

/// Parses `1795391866.212872`, seconds with six decimals, into microseconds.
fn micros(text: &str) -> Result<u64> {
    let (seconds, micros) = text.split_once('.').context("no decimals")?;
    ensure!(micros.len() == 6, "{text} is not in microseconds");
    Ok(seconds.parse::<u64>()? * 1_000_000 + micros.parse::<u64>()?)
}

/// Decodes `\x2f\x74`.
fn unhex(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => bail!("{:?} is not a hexadecimal digit", char::from(byte)),
    };
    let (groups, rest) = text.as_bytes().as_chunks::<4>();
    ensure!(rest.is_empty(), "half a byte");
    let mut bytes = Vec::with_capacity(groups.len());
    for &[_, _, high, low] in groups {
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_interrupted_by_another_thread_is_parsed_like_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let file = folder.path().join("trace");
            std::fs::write(&file, text).unwrap();
            read(&file).unwrap()
        };
        let whole = read("7  1.000001 pwrite64(12<\\x61>, \"\\x01\\x02\", 2, 4152) = 2 <0.000009>\n");
        let split = read(
            "7  1.000001 pwrite64(12<\\x61>, \"\\x01\\x02\", 2, 4152 <unfinished ...>\n\
             8  1.000002 fsync(13<\\x62> <unfinished ...>\n\
             7  1.000003 <... pwrite64 resumed>) = 2 <0.000009>\n\
             8  1.000004 <... fsync resumed>) = ?\n",
        );
        assert_eq!(whole.len(), 1);
        assert_eq!(format!("{whole:?}"), format!("{split:?}"));
    }
}
