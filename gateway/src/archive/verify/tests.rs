use std::io::Cursor;
use std::path::PathBuf;

use comptoir_core::chain::{ChainHash, FieldHasher, sha256};
use comptoir_core::event::{DeviceId, Kind};
use comptoir_core::shop_secret::ShopSecret;
use comptoir_journal::{EntryKind, Journal, Numbering, Payload, Submission};
use jiff::civil::date;
use jiff::tz::TimeZone;
use tar::{Builder, Header};

use super::*;
use crate::archive::write::{ArchiveError, Range, Request, write};
use crate::platform::closing_key::ClosingKey;

/// 2026-08-01T12:00:00Z
const NOON: i64 = 1_785_585_600_000;
const HOUR: i64 = 3_600_000;

struct Shop {
    journal: Journal,
    path: PathBuf,
    key: ClosingKey,
    folder: tempfile::TempDir,
}

impl Shop {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (journal, writer) = Journal::open(&path, 1 << 26).await.unwrap();
        tokio::spawn(writer.of_store("paris-1").run());
        Self {
            journal,
            path,
            key: ClosingKey::of(&ShopSecret::new([7; 32])),
            folder,
        }
    }

    async fn append(&self, device: DeviceId, kind: EntryKind, time: i64, payload: Payload) {
        let is_dead = kind == EntryKind::DeadLetter;
        let submission = Submission {
            device,
            encoding: None,
            numbering: Numbering::Gateway { fingerprint: None },
            kind,
            time,
            key: "o-1".into(),
            payload,
            reason: is_dead.then(|| "not JSON".into()),
        };
        self.journal.append(vec![submission]).await.unwrap();
    }

    async fn sell(&self, number: u32, time: i64) {
        let json = format!(
            r#"{{"payment_id":"p-{number}","order_id":"=o-{number}","amount":12.50,"currency":"EUR","method":"Cash","status":"SUCCESS"}}"#
        );
        let till = DeviceId::new("paris-1", "till-1").unwrap();
        self.append(
            till,
            EntryKind::Event(Kind::Payment),
            time,
            Payload::Json(json.into()),
        )
        .await;
    }

    /// Closes a day as the gateway does, as far as a verifier looks.
    async fn close(&self, number: u64, day: &str, previous: ChainHash, time: i64) -> ChainHash {
        let upto = self.journal.state().last;
        let chain = self.journal.hash_at(upto).await.unwrap().unwrap();
        let record = format!(
            r#"{{"store":"paris-1","number":{number},"date":"{day}","upto":{},"numbers":[],"previous":"{previous}","chain":"{chain}","key":"{}""#,
            upto.0,
            self.key.public()
        );
        let hash = sha256(format!("{record}}}").as_bytes());
        let signature = self.key.sign(Purpose::Closing, hash);
        let json = format!(r#"{record},"hash":"{hash}","signature":"{signature}"}}"#);
        let gateway = DeviceId::gateway("paris-1").unwrap();
        self.append(gateway, EntryKind::Closing, time, Payload::Json(json.into()))
            .await;
        hash
    }

    async fn archive(&self, from: i8, to: i8) -> Result<(Manifest, Vec<u8>), ArchiveError> {
        let file = self.folder.path().join(format!("{from}-{to}.tar"));
        let request = Request {
            journal: &self.path,
            store: "paris-1",
            range: Range::Days {
                from: date(2026, 8, from),
                to: date(2026, 8, to),
            },
            time_zone: TimeZone::UTC,
            key: &self.key,
            file: &file,
        };
        let manifest = write(&request, |_, _| {}).await?;
        Ok((manifest, std::fs::read(file).unwrap()))
    }

    /// Three days with four sales each, of which the first two are closed.
    async fn with_sales() -> Self {
        let shop = Self::new().await;
        let mut previous = ChainHash::default();
        for day in 1..=3 {
            let noon = NOON + (day - 1) * 24 * HOUR;
            for sale in 0..4 {
                shop.sell((day * 10 + sale) as u32, noon + sale * HOUR).await;
            }
            if day < 3 {
                let date = format!("2026-08-0{day}");
                previous = shop.close(day as u64, &date, previous, noon + 9 * HOUR).await;
            }
        }
        shop
    }
}

fn check(bytes: &[u8]) -> Result<Proof, VerifyError> {
    archive(&mut Cursor::new(bytes))
}

/// The members of an archive, but the signature.
fn contents(bytes: &[u8]) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(bytes);
    let members = archive.entries().unwrap().map(|member| {
        let mut member = member.unwrap();
        let mut text = String::new();
        let name = String::from_utf8(member.path_bytes().to_vec()).unwrap();
        if name != SIGNATURE {
            member.read_to_string(&mut text).unwrap();
        }
        (name, text)
    });
    members.filter(|(name, _)| name != SIGNATURE).collect()
}

/// An archive with these members, correctly signed by `key`: what somebody with the shop's secret could make.
fn signed(members: &[(String, String)], key: &ClosingKey) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let header = |length: usize| {
        let mut header = Header::new_gnu();
        header.set_size(length as u64);
        header
    };
    for (name, text) in members {
        builder
            .append_data(&mut header(text.len()), name, text.as_bytes())
            .unwrap();
    }
    let mut bytes = builder.get_ref().clone();
    let mut last = header(SIGNATURE_BYTES as usize);
    last.set_path(SIGNATURE).unwrap();
    last.set_cksum();
    bytes.extend_from_slice(last.as_bytes());
    let signature = key.sign(Purpose::Archive, sha256(&bytes));
    bytes.extend_from_slice(&signature.0);
    bytes.resize(bytes.len() - SIGNATURE_BYTES as usize + END as usize, 0);
    bytes
}

#[tokio::test]
async fn an_archive_has_the_days_that_were_asked_for_and_their_closings() {
    let shop = Shop::with_sales().await;
    let (all, bytes) = shop.archive(1, 3).await.unwrap();
    assert_eq!((all.entries, all.closings, all.complete), (14, 2, true));
    let proof = check(&bytes).unwrap();
    assert_eq!((proof.walk.chained, proof.closings.count), (14, 2));
    let (second, bytes) = shop.archive(2, 2).await.unwrap();
    assert_eq!(
        (
            second.previous.offset,
            second.head.offset,
            second.entries,
            second.closings
        ),
        (4, 10, 6, 2),
        "from the closing of the day before to the day's own"
    );
    check(&bytes).unwrap();
    let (open, bytes) = shop.archive(3, 3).await.unwrap();
    assert_eq!((open.entries, open.closings, open.complete), (4, 0, true));
    let members = contents(&bytes);
    let table = &members.iter().find(|(name, _)| name == TABLE).unwrap().1;
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(
        rows[1],
        "11,2026-08-03T12:00:00Z,payment,paris-1,till-1,0,9,p-30,'=o-30,SUCCESS,Cash,12.50,EUR,"
    );
    for (from, to, wanted) in [
        (
            5,
            6,
            "the journal has no entry of these days; its oldest is of 2026-08-01",
        ),
        (
            2,
            1,
            "2026-08-02 is after 2026-08-01; write the earlier day first",
        ),
        (1, 3, "exists already"),
    ] {
        let error = shop.archive(from, to).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn every_flipped_bit_and_every_missing_byte_of_an_archive_is_found() {
    let shop = Shop::with_sales().await;
    shop.append(
        DeviceId::new("paris-1", "till-2").unwrap(),
        EntryKind::DeadLetter,
        NOON,
        Payload::Bytes([0xff, 0xfe].as_slice().into()),
    )
    .await;
    let (_, bytes) = shop.archive(1, 3).await.unwrap();
    check(&bytes).unwrap();
    let key = shop.key.public();
    let threads = 4;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mut changed = bytes.clone();
            let bytes = &bytes;
            scope.spawn(move || {
                for at in (thread..bytes.len()).step_by(threads) {
                    for bit in 0..8 {
                        changed[at] = bytes[at] ^ (1 << bit);
                        let signature = verify_signature(&mut Cursor::new(&changed), key);
                        assert!(signature.is_err(), "byte {at}, bit {bit}");
                    }
                    // The whole verification takes longer.
                    if at % 5 == 0 {
                        changed[at] = bytes[at] ^ (1 << (at % 8));
                        assert!(check(&changed).is_err(), "byte {at}");
                    }
                    changed[at] = bytes[at];
                }
            });
        }
    });
    for length in (0..bytes.len()).step_by(61) {
        assert!(check(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [&*bytes, &[0; 512]].concat();
    assert!(check(&longer).is_err());
}

#[tokio::test]
async fn an_archive_with_a_changed_removed_swapped_or_inserted_entry_is_found_even_if_it_is_signed_again() {
    let shop = Shop::with_sales().await;
    let (_, bytes) = shop.archive(1, 3).await.unwrap();
    let members = contents(&bytes);
    let unchanged = signed(&members, &shop.key);
    check(&unchanged).unwrap();
    let at = members.iter().position(|(name, _)| name == ENTRIES).unwrap();
    let lines: Vec<&str> = members[at].1.lines().collect();
    let with = |lines: &[&str]| {
        let mut members = members.clone();
        members[at].1 = lines.iter().map(|line| format!("{line}\n")).collect();
        check(&signed(&members, &shop.key))
    };
    for line in 0..lines.len() {
        let mut removed = lines.clone();
        removed.remove(line);
        // Without the last entry, only the manifest tells.
        assert!(with(&removed).is_err(), "without line {line}");
        let mut doubled = lines.clone();
        doubled.insert(line, lines[line]);
        assert!(with(&doubled).is_err(), "with line {line} twice");
        let mut changed = lines.clone();
        let text = lines[line]
            .replacen("12.50", "12.51", 1)
            .replacen("2026-08-0", "2026-08-1", 1);
        assert_ne!(text, lines[line]);
        changed[line] = &text;
        let error = with(&changed).unwrap_err();
        assert!(
            matches!(error, VerifyError::Chain(ChainError::Misfit(offset)) if offset == line as u64 + 1),
            "{error}"
        );
        if line > 0 {
            let mut swapped = lines.clone();
            swapped.swap(line, line - 1);
            assert!(with(&swapped).is_err(), "lines {line} and {} swapped", line - 1);
        }
    }
}

#[tokio::test]
async fn an_archive_that_another_key_signed_is_refused_if_the_key_is_given() {
    let shop = Shop::with_sales().await;
    let (_, bytes) = shop.archive(1, 3).await.unwrap();
    let forger = ClosingKey::of(&ShopSecret::new([8; 32]));
    let mut members = contents(&bytes);
    let ours = shop.key.public().to_string();
    // The signature alone replaced: the manifest names the key.
    assert!(matches!(
        check(&signed(&members, &forger)),
        Err(VerifyError::Signature)
    ));
    let manifest = members.iter_mut().find(|(name, _)| name == MANIFEST).unwrap();
    manifest.1 = manifest.1.replace(&ours, &forger.public().to_string());
    let path = shop.folder.path().join("forged.tar");
    std::fs::write(&path, signed(&members, &forger)).unwrap();
    let proof = verify(&path, None).await.unwrap();
    assert_eq!(
        proof.closings.keys.len(),
        2,
        "the closings are signed by the shop"
    );
    let error = verify(&path, Some(shop.key.public())).await.unwrap_err();
    assert!(matches!(error, VerifyError::Key(_)), "{error}");
    verify(&shop.folder.path().join("1-3.tar"), Some(shop.key.public()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_journal_is_verified_with_its_closings() {
    let shop = Shop::with_sales().await;
    let proof = verify(&shop.path, Some(shop.key.public())).await.unwrap();
    assert_eq!((proof.walk.chained, proof.closings.count), (14, 2));
    let copy = shop.folder.path().join("copy.db");
    Journal::backup(&shop.path, &copy).await.unwrap();
    assert_eq!(verify(&copy, None).await.unwrap().walk.head(), proof.walk.head());
    let other = shop.folder.path().join("other");
    for (content, wanted) in [
        ("", "neither"),
        ("text", "neither"),
        (&"\u{1b}[2J".repeat(200), "neither"),
        ("SQLite format 3\0", "not a Comptoir journal"),
    ] {
        std::fs::write(&other, content).unwrap();
        let error = verify(&other, None).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{content:?}: {error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
    // The content of a valid tar file may be anything, too.
    let members = [(README, ""), (MANIFEST, "{\"\u{1b}[2J\":1}\n")];
    let members = members.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let error = check(&signed(&members, &shop.key)).unwrap_err().to_string();
    assert!(
        error.contains("archive.json, line") && !error.contains(char::is_control),
        "{error:?}"
    );
}

/// What somebody without the shop's secret can do with a SQLite shell: change an entry, and compute every later hash again.
async fn rechain(shop: &Shop, from: u64, change: &str) {
    use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
    let mut reader = ChainReader::open(&shop.path).await.unwrap();
    let mut previous = reader.point(Offset(from - 1)).await.unwrap().unwrap().hash;
    drop(reader);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&shop.path);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(change.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    let mut after = Offset(from - 1);
    loop {
        let mut reader = ChainReader::open(&shop.path).await.unwrap();
        let entries = reader.entries_after(after, LAST).await.unwrap();
        drop(reader);
        let Some(last) = entries.last() else { break };
        after = last.entry.offset;
        for chained in &entries {
            let entry = &chained.entry;
            let hash = |label: &str| FieldHasher::new(label);
            let content = hash("comptoir journal content v1")
                .with(chained.salt.unwrap())
                .with(&entry.payload[..])
                .with_option(entry.reason.as_deref())
                .finish();
            previous = hash("comptoir journal entry v1")
                .with(previous.0)
                .with(entry.offset.0.to_string())
                .with(entry.kind.name())
                .with(entry.name.to_string())
                .with(entry.time.to_string())
                .with(entry.key.as_bytes())
                .with(content.0)
                .finish();
            sqlx::query("UPDATE entry SET hash = ? WHERE offset = ?")
                .bind(previous.0.as_slice())
                .bind(entry.offset.0 as i64)
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_journal_whose_hashes_were_computed_again_contradicts_its_closings() {
    let cheaper = "UPDATE entry SET payload = replace(payload, '12.50', '1.50') WHERE offset =";
    // The closing of the first day counts entries 1 to 4 and is entry 5; that of the second counts up to 9.
    let replaced = "UPDATE entry SET payload = replace(payload, '2026-08-01', '2026-08-09') WHERE offset = 5";
    let inserted = "INSERT INTO entry SELECT 15, kind, device, epoch, 99, time, key, payload, reason, salt, hash, content
                    FROM entry WHERE offset = 5";
    for (from, change, wanted) in [
        (
            2,
            format!("{cheaper} 2"),
            "entry 4 is not the one that a closing counted",
        ),
        (
            7,
            format!("{cheaper} 7"),
            "entry 9 is not the one that a closing counted",
        ),
        (
            5,
            replaced.to_owned(),
            "entry 5 is a closing that is not in the list",
        ),
        (
            15,
            inserted.to_owned(),
            "entry 15 is a closing that is not in the list",
        ),
        (
            10,
            "DELETE FROM entry WHERE offset >= 10".to_owned(),
            "the entry of a closing is missing",
        ),
        (
            8,
            "DELETE FROM entry WHERE offset >= 8".to_owned(),
            "entry 9, which a closing counted, is missing",
        ),
    ] {
        let shop = Shop::with_sales().await;
        rechain(&shop, from, &change).await;
        let error = verify(&shop.path, None).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{change}: {error}");
        // Nothing of it is signed again.
        let error = shop.archive(1, 3).await.unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("Nothing was archived"),
            "{change}: {error}"
        );
    }
    // After the last closing, only an archive or Kafka contradicts.
    let shop = Shop::with_sales().await;
    rechain(&shop, 12, &format!("{cheaper} 12")).await;
    verify(&shop.path, None).await.unwrap();
}

#[tokio::test]
async fn entries_before_the_chain_and_erasures_hide_no_change() {
    let all = "UPDATE entry SET payload = replace(payload, '12.50', '1.50')";
    let older = "UPDATE entry SET hash = NULL, salt = NULL WHERE offset <= 5;
                 UPDATE chain SET offset = 5, hash = (SELECT hash FROM entry WHERE offset = 5)";
    let (before, after) = older.split_once(';').unwrap();
    for (change, wanted) in [
        // Entries of the first day become those of an earlier version.
        (
            format!("{after}; {before}; {all} WHERE offset = 2"),
            "entry 4 is not the one that a closing counted",
        ),
        // A changed payment becomes one that was erased.
        (
            format!(
                "UPDATE entry SET content = randomblob(32), salt = NULL WHERE offset = 2; {all} WHERE offset = 2"
            ),
            "entry 2 has neither the salt",
        ),
    ] {
        let shop = Shop::with_sales().await;
        rechain(&shop, 14, &change).await;
        let error = verify(&shop.path, None).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{change}: {error}");
    }
}

#[tokio::test]
async fn a_key_proves_nothing_of_a_file_without_signatures() {
    let shop = Shop::new().await;
    shop.sell(1, NOON).await;
    let error = verify(&shop.path, Some(shop.key.public())).await.unwrap_err();
    assert!(matches!(error, VerifyError::Unsigned), "{error}");
}
