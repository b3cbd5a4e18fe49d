//! Writes an archive.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use comptoir_core::chain::ChainHash;
use comptoir_core::event::Kind;
use comptoir_http_rules::spreadsheet::escape_formulas;
use comptoir_journal::{ChainError, ChainReader, ChainReaderError, ChainedEntry, EntryKind, Offset};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ring::digest::{Context, SHA256};
use serde_json::value::RawValue;
use tar::{Builder, Header};

use super::closings::ClosingError;
use super::format::{
    BLOCK, CLOSINGS, END, ENTRIES, EntryLine, FORMAT, MANIFEST, Manifest, README, SIGNATURE, SIGNATURE_BYTES,
    TABLE, VERSION,
};
use super::select::{Contents, select_days, select_entries};
use crate::platform::closing_key::{ClosingKey, Purpose};

/// Tells Excel that the table is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// How many entries are written between two calls of the progress function.
const PROGRESS_EVERY: u64 = 4_096;

const COLUMNS: [&str; 14] = [
    "offset",
    "time",
    "kind",
    "store",
    "device",
    "epoch",
    "seq",
    "id",
    "order_id",
    "status",
    "method",
    "amount",
    "currency",
    "refund_of",
];

/// What to archive.
pub enum Range {
    /// Days in the shop's time zone: their entries, and what their closings counted.
    Days { from: Date, to: Date },
    /// The entries after `after`, up to and including `upto`, and the closings among them.
    Entries { after: Offset, upto: Offset },
}

pub struct Request<'a> {
    pub journal: &'a Path,
    pub store: &'a str,
    pub range: Range,
    pub time_zone: TimeZone,
    pub key: &'a ClosingKey,
    /// Must not exist for [`Range::Days`]. An archive of the same entries is replaced: it is one that was not noted.
    pub file: &'a Path,
}

/// Why an archive was not written. There is no file then.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{from} is after {to}; write the earlier day first")]
    Period { from: Date, to: Date },
    #[error("{0} is not a day that can be archived")]
    Day(Date),
    #[error("the journal has no entry of these days; its oldest is of {oldest}")]
    Empty { oldest: String },
    #[error("{} exists already and was not changed; choose another name", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Journal(#[from] ChainReaderError),
    #[error("the journal was changed from outside: {0}. Nothing was archived")]
    Chain(#[from] ChainError),
    #[error("the journal was changed from outside: {0}. Nothing was archived")]
    Closing(#[from] ClosingError),
    #[error("{} could not be written: {problem}", file.display())]
    Write { file: PathBuf, problem: io::Error },
}

/// Writes the archive and returns its manifest. `progress` is called with the number of entries written so far and in all.
///
/// # Errors
/// The journal cannot be read or does not fit its chain, it has nothing of the period, or the file cannot be written.
pub async fn write(
    request: &Request<'_>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Manifest, ArchiveError> {
    if matches!(request.range, Range::Days { .. }) && request.file.exists() {
        return Err(ArchiveError::Exists(request.file.to_owned()));
    }
    let mut reader = ChainReader::open(request.journal).await?;
    let summary = reader.summary().await?;
    let contents = match request.range {
        Range::Days { from, to } => select_days(&mut reader, &summary, request, from, to).await?,
        Range::Entries { after, upto } => select_entries(&mut reader, &summary, request, after, upto).await?,
    };
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        store: request.store.to_owned(),
        journal: summary.journal,
        created: comptoir_core::sale::now(),
        from: contents.from,
        to: contents.to,
        time_zone: request.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        previous: contents.previous.into(),
        head: contents.walk.head().into(),
        entries: contents.walk.chained + contents.walk.unchained,
        unchained: contents.walk.unchained,
        erased: contents.walk.erased,
        closings: contents.closings.len() as u64,
        complete: contents.complete,
        key: request.key.public().to_string(),
    };
    let mut part = request.file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let failed = |problem| ArchiveError::Write {
        file: request.file.to_owned(),
        problem,
    };
    let written = async {
        // Left by a run that was interrupted.
        match std::fs::remove_file(&part) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(failed(problem)),
            _ => {}
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            // Archives contain customers' names.
            .mode(0o600)
            .open(&part)
            .map_err(failed)?;
        let file = members(file, &manifest, &contents, &mut reader, &mut progress, failed).await?;
        let file = sign(file, &manifest, request.key).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&part, request.file).map_err(failed)
    }
    .await;
    if written.is_err() {
        // The error that is reported says what happened.
        let _ = std::fs::remove_file(&part);
    }
    written.map(|()| manifest)
}

/// Writes all members but the signature.
async fn members(
    file: File,
    manifest: &Manifest,
    contents: &Contents,
    reader: &mut ChainReader,
    progress: &mut impl FnMut(u64, u64),
    failed: impl Fn(io::Error) -> ArchiveError + Copy,
) -> Result<File, ArchiveError> {
    let mut builder = Builder::new(file);
    let text = readme(manifest);
    let json = serde_json::to_string_pretty(manifest).map_err(|error| failed(error.into()))? + "\n";
    let mut closings = String::new();
    for closing in &contents.closings {
        closings += &closing.payload;
        closings.push('\n');
    }
    for (name, content) in [(README, &text), (MANIFEST, &json), (CLOSINGS, &closings)] {
        let mut header = header(manifest);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .map_err(failed)?;
    }
    let total = 2 * manifest.entries;
    let mut written = 0;
    for name in [ENTRIES, TABLE] {
        let mut header = header(manifest);
        let member = builder.append_writer(&mut header, name).map_err(failed)?;
        let mut member = BufWriter::new(member);
        if name == TABLE {
            member.write_all(BYTE_ORDER_MARK.as_bytes()).map_err(failed)?;
            write_row(&mut member, &COLUMNS.map(str::to_owned)).map_err(failed)?;
        }
        let mut read = contents.after;
        loop {
            let entries = reader.entries_after(read, contents.upto).await?;
            let Some(last) = entries.last() else {
                break;
            };
            read = last.entry.offset;
            for entry in &entries {
                let result = match name {
                    ENTRIES => write_line(&mut member, entry),
                    _ => row(entry).map_or(Ok(()), |row| write_row(&mut member, &row)),
                };
                result.map_err(failed)?;
                written += 1;
                if written % PROGRESS_EVERY == 0 {
                    progress(written / 2, total / 2);
                }
            }
        }
        let member = member.into_inner().map_err(|error| failed(error.into_error()))?;
        member.finish().map_err(failed)?;
    }
    // Also writes the end of the file, which the signature replaces.
    builder.into_inner().map_err(failed)
}

/// Signs everything that the file contains, with the header of the signature's own member, and ends the file.
fn sign(mut file: File, manifest: &Manifest, key: &ClosingKey) -> io::Result<File> {
    let end = file.seek(SeekFrom::End(-(2 * BLOCK as i64)))?;
    file.set_len(end)?;
    let mut header = header(manifest);
    header.set_path(SIGNATURE)?;
    header.set_size(SIGNATURE_BYTES);
    header.set_cksum();
    file.write_all(header.as_bytes())?;
    let hash = hash_of(&mut file, end + BLOCK)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&key.sign(Purpose::Archive, hash).0)?;
    let written = end + BLOCK + SIGNATURE_BYTES;
    file.write_all(&vec![0; (end + BLOCK + END - written) as usize])?;
    Ok(file)
}

/// SHA-256 of the first `length` bytes.
pub(super) fn hash_of(file: &mut (impl Read + Seek), length: u64) -> io::Result<ChainHash> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Context::new(&SHA256);
    let mut reader = BufReader::with_capacity(1 << 16, file).take(length);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        hasher.update(bytes);
        let read = bytes.len();
        reader.consume(read);
    }
    if reader.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut hash = ChainHash::default();
    hash.0.copy_from_slice(hasher.finish().as_ref());
    Ok(hash)
}

fn header(manifest: &Manifest) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(manifest.created.as_second()).unwrap_or_default());
    header
}

fn write_line(member: &mut impl Write, entry: &ChainedEntry) -> io::Result<()> {
    serde_json::to_writer(&mut *member, &EntryLine::from(entry))?;
    member.write_all(b"\n")
}

fn write_row(member: &mut impl Write, row: &[String]) -> io::Result<()> {
    // As RFC 4180.
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(member);
    writer.write_record(row)?;
    writer.flush()
}

/// An event as a row of the table. `None` for other entries.
fn row(chained: &ChainedEntry) -> Option<[String; COLUMNS.len()]> {
    let entry = &chained.entry;
    let EntryKind::Event(kind) = entry.kind else {
        return None;
    };
    let event: HashMap<&str, &RawValue> = serde_json::from_str(entry.payload.json()).unwrap_or_default();
    let cell = |name: &str| {
        let value = event.get(name).map(|value| value.get()).unwrap_or_default();
        match serde_json::from_str::<Option<String>>(value) {
            Ok(text) => escape_formulas(&text.unwrap_or_default()),
            // The digits are those of the JSON: an amount never becomes a binary fraction.
            Err(_) => value.to_owned(),
        }
    };
    let id = match kind {
        Kind::Order => "order_id",
        Kind::Payment => "payment_id",
        Kind::Delivery => "delivery_id",
    };
    let name = &entry.name;
    let time = Timestamp::from_millisecond(entry.time);
    Some([
        entry.offset.0.to_string(),
        time.map_or_else(|_| entry.time.to_string(), |time| time.to_string()),
        entry.kind.name().to_owned(),
        name.device.store().to_owned(),
        name.device.device().to_owned(),
        name.epoch.to_string(),
        name.seq.to_string(),
        cell(id),
        cell("order_id"),
        cell("status"),
        cell("method"),
        cell("amount"),
        cell("currency"),
        cell("refund_of"),
    ])
}

/// Instructions for the reader of the archive, in both languages.
fn readme(manifest: &Manifest) -> String {
    let Manifest {
        store,
        from,
        to,
        key,
        entries,
        closings,
        ..
    } = manifest;
    format!(
        "Comptoir archive of the shop {store}, {from} to {to}: {entries} entries of the journal, {closings} closings of days.\n\
         \n\
         entries.csv     the events as a table, for a spreadsheet\n\
         entries.jsonl   every entry as it is in the journal, with its place in the hash chain\n\
         closings.jsonl  the closings of the days, signed\n\
         archive.json    what the archive contains, and the public key\n\
         signature       Ed25519, over every byte before it\n\
         \n\
         To verify that nothing was changed, removed or inserted:  gateway verify FILE --key {key}\n\
         Take the key from another source than this archive: the topics `gateways` and `closings` in Kafka, or a printed\n\
         closing. The format is described in archive.md of the documentation, so that anybody can write another verifier.\n\
         \n\
         ---\n\
         \n\
         Archive Comptoir du magasin {store}, du {from} au {to}\u{a0}: {entries} entrées du journal, {closings} clôtures de journée.\n\
         \n\
         entries.csv     les événements sous forme de tableau, pour un tableur\n\
         entries.jsonl   chaque entrée telle qu’elle est dans le journal, avec sa place dans la chaîne d’empreintes\n\
         closings.jsonl  les clôtures de journée, signées\n\
         archive.json    le contenu de l’archive et la clé publique\n\
         signature       Ed25519, sur tous les octets qui la précèdent\n\
         \n\
         Pour vérifier que rien n’a été modifié, retiré ni ajouté\u{a0}:  gateway verify FICHIER --key {key}\n\
         Prenez la clé ailleurs que dans cette archive\u{a0}: dans les topics `gateways` et `closings` de Kafka, ou sur une\n\
         clôture imprimée.\n"
    )
}
