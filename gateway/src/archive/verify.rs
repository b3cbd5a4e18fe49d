//! Verifies an archive or a journal, and says what was proven.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use comptoir_journal::{ChainError, ChainReader, ChainReaderError, ChainWalk, Offset};

use super::LAST;
use super::closings::{ClosingError, ClosingWalk};
use super::format::{
    BLOCK, CLOSINGS, END, ENTRIES, EntryLine, FORMAT, MANIFEST, Manifest, README, SIGNATURE, SIGNATURE_BYTES,
    TABLE, VERSION,
};
use super::write::hash_of;
use crate::platform::closing_key::{PublicKey, Purpose, Signature};

/// The members in their order.
const MEMBERS: [&str; 6] = [README, MANIFEST, CLOSINGS, ENTRIES, TABLE, SIGNATURE];
/// Longest line of an archive. A payload has less than 1 MB, of which JSON may escape every byte.
const MAX_LINE: u64 = 8 << 20;
/// Most bytes of a manifest.
const MAX_MANIFEST: usize = 1 << 20;
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("this is neither an archive nor a journal: {0}")]
    Foreign(String),
    #[error("the archive has version {0}; this gateway verifies version {VERSION}. Use a newer one")]
    Version(u32),
    #[error("{member}, line {line}: {problem}")]
    Line {
        member: &'static str,
        line: u64,
        problem: String,
    },
    #[error("{0}")]
    Chain(#[from] ChainError),
    #[error("{0}")]
    Closing(#[from] ClosingError),
    #[error("{0} does not match what archive.json says of the archive")]
    Manifest(&'static str),
    #[error("the signature does not fit: the file was changed after it was signed")]
    Signature,
    #[error("the file is signed by another key, {0}")]
    Key(String),
    #[error("nothing in the file is signed: it has no closing with a signature")]
    Unsigned,
    #[error(transparent)]
    Journal(#[from] ChainReaderError),
}

/// What a file proves.
#[derive(Debug)]
pub struct Proof {
    /// Only of an archive.
    pub manifest: Option<Manifest>,
    pub walk: ChainWalk,
    pub closings: ClosingWalk,
}

/// Verifies the archive or journal. `expected` is the key that must have signed it.
///
/// # Errors
/// Something was changed, removed or inserted, or the file cannot be read.
pub async fn verify(path: &Path, expected: Option<PublicKey>) -> Result<Proof, VerifyError> {
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    (&mut file).take(SQLITE.len() as u64).read_to_end(&mut start)?;
    let proof = match start == SQLITE {
        true => journal(path).await?,
        false => archive(&mut file)?,
    };
    let keys = &proof.closings.keys;
    match expected {
        Some(_) if keys.is_empty() => Err(VerifyError::Unsigned),
        Some(expected) => match keys.iter().find(|key| **key != expected) {
            Some(other) => Err(VerifyError::Key(other.to_string())),
            None => Ok(proof),
        },
        None => Ok(proof),
    }
}

async fn journal(path: &Path) -> Result<Proof, VerifyError> {
    let mut reader = ChainReader::open(path).await?;
    let summary = reader.summary().await?;
    let first = summary.first.unwrap_or_default();
    let mut closings = ClosingWalk::default();
    for closing in reader.closings().await? {
        // Entries before the first one were pruned.
        closings.add(&closing.payload, closing.offset >= first)?;
    }
    let mut walk = ChainWalk::new(summary.start);
    let mut read = Offset(0);
    loop {
        let entries = reader.entries_after(read, LAST).await?;
        let Some(last) = entries.last() else {
            break;
        };
        read = last.entry.offset;
        for entry in &entries {
            walk.add(entry)?;
            closings.see(entry)?;
        }
    }
    closings.finish(first, LAST)?;
    Ok(Proof {
        manifest: None,
        walk,
        closings,
    })
}

fn archive(file: &mut (impl Read + Seek)) -> Result<Proof, VerifyError> {
    // The chain first, because its errors name the entry.
    let (manifest, walk, closings) = members(file)?;
    let key: PublicKey = manifest
        .key
        .parse()
        .map_err(|_| VerifyError::Manifest("the key"))?;
    verify_signature(file, key)?;
    if manifest.entries != walk.chained + walk.unchained
        || manifest.unchained != walk.unchained
        || manifest.erased != walk.erased
    {
        return Err(VerifyError::Manifest("the number of entries"));
    }
    if walk.head() != manifest.head.into() {
        return Err(VerifyError::Manifest("the last hash"));
    }
    if manifest.closings != closings.count {
        return Err(VerifyError::Manifest("the number of closings"));
    }
    let mut closings = closings;
    if closings.keys.last() != Some(&key) {
        closings.keys.push(key);
    }
    Ok(Proof {
        manifest: Some(manifest),
        walk,
        closings,
    })
}

/// Reads and verifies the contents.
fn members(file: &mut (impl Read + Seek)) -> Result<(Manifest, ChainWalk, ClosingWalk), VerifyError> {
    // The library's message quotes the file, which may contain anything.
    let foreign = |_: io::Error| VerifyError::Foreign("it is not a whole tar file".to_owned());
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut members = archive.entries().map_err(foreign)?;
    let mut manifest: Option<Manifest> = None;
    let mut closings = ClosingWalk::default();
    let mut walk = None;
    for name in MEMBERS {
        let member = members
            .next()
            .ok_or_else(|| VerifyError::Foreign(format!("{name} is missing")))?
            .map_err(foreign)?;
        if &*member.path_bytes() != name.as_bytes() {
            return Err(VerifyError::Foreign(format!("{name} is missing")));
        }
        let mut lines = Lines::new(name, member);
        match name {
            MANIFEST => manifest = Some(read_manifest(&mut lines)?),
            CLOSINGS => {
                while let Some(line) = lines.next()? {
                    closings.add(line, true)?;
                }
            }
            ENTRIES => {
                let start = manifest
                    .as_ref()
                    .ok_or(VerifyError::Manifest("the order"))?
                    .previous;
                let mut entries = ChainWalk::new(start.into());
                let mut first = None;
                while let Some(line) = lines.next()? {
                    let parsed =
                        serde_json::from_str::<EntryLine<'_>>(line).map_err(|error| error.to_string());
                    let entry =
                        parsed.and_then(|line| line.entry().map_err(|field| format!("invalid {field}")));
                    match entry {
                        Ok(entry) => {
                            entries.add(&entry)?;
                            closings.see(&entry)?;
                            first.get_or_insert(entry.entry.offset);
                        }
                        Err(problem) => return Err(lines.error(problem)),
                    }
                }
                closings.finish(first.unwrap_or_default(), LAST)?;
                walk = Some(entries);
            }
            _ => {}
        }
    }
    if members.next().is_some() {
        return Err(VerifyError::Foreign("something follows the signature".to_owned()));
    }
    match (manifest, walk) {
        (Some(manifest), Some(walk)) => Ok((manifest, walk, closings)),
        _ => Err(VerifyError::Manifest("the list of members")),
    }
}

fn read_manifest(lines: &mut Lines<impl Read>) -> Result<Manifest, VerifyError> {
    let mut text = String::new();
    while let Some(line) = lines.next()? {
        text += line;
        if text.len() > MAX_MANIFEST {
            return Err(VerifyError::Manifest("the size of archive.json"));
        }
    }
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| lines.error(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(VerifyError::Foreign(format!(
            "its format is {:?}",
            manifest.format
        )));
    }
    match manifest.version {
        VERSION => Ok(manifest),
        version => Err(VerifyError::Version(version)),
    }
}

/// Everything up to the signature is signed; what follows it is fixed.
fn verify_signature(file: &mut (impl Read + Seek), key: PublicKey) -> Result<(), VerifyError> {
    let length = file.seek(SeekFrom::End(0))?;
    let signed = length.checked_sub(END).ok_or(VerifyError::Signature)?;
    let hash = hash_of(file, signed)?;
    file.seek(SeekFrom::Start(signed))?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end)?;
    let (signature, padding) = end
        .split_first_chunk::<{ SIGNATURE_BYTES as usize }>()
        .ok_or(VerifyError::Signature)?;
    let is_whole = signed % BLOCK == 0 && padding.iter().all(|byte| *byte == 0);
    match is_whole && key.verify(Purpose::Archive, hash, &Signature(*signature)) {
        true => Ok(()),
        false => Err(VerifyError::Signature),
    }
}

/// The lines of a member, each of limited length.
struct Lines<R> {
    member: &'static str,
    reader: BufReader<R>,
    line: String,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(member: &'static str, reader: R) -> Self {
        Self {
            member,
            reader: BufReader::new(reader),
            line: String::new(),
            number: 0,
        }
    }

    /// `problem` may quote the file, so control characters are escaped.
    fn error(&self, problem: String) -> VerifyError {
        VerifyError::Line {
            member: self.member,
            line: self.number,
            problem: problem.escape_debug().to_string(),
        }
    }

    /// The next line, without its end.
    fn next(&mut self) -> Result<Option<&str>, VerifyError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.reader).take(MAX_LINE).read_line(&mut self.line);
        match read {
            Ok(0) => Ok(None),
            Ok(_) if self.line.ends_with('\n') => {
                self.line.pop();
                Ok(Some(&self.line))
            }
            Ok(_) => Err(self.error("the line does not end".to_owned())),
            Err(problem) => Err(self.error(problem.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
