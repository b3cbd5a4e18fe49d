//! Secrets on the card. Any computer can read the boot partition, so its secrets move to a file that only root can
//! read, and the marker [`STORED`] takes their place.

use std::path::Path;

use super::file::{self, Entries};
use super::key::Key;
use super::problem::{Problem, Reason};

/// Replaces a value that the Pi has stored.
pub const STORED: &str = "(stored)";
/// Replaces a secret in a commented-out line, which the Pi does not store.
const ERASED: &str = "(erased)";

/// The state from earlier starts.
#[derive(Default)]
pub struct Earlier {
    /// The entries of the file that [`stored`] wrote.
    pub stored: Entries,
    /// Whether this card's settings have been applied before. If so, a new SSH key is refused.
    pub is_set_up: bool,
}

/// Puts the stored values in place of the markers.
///
/// Once the card is set up, its SSH key becomes the marker: the keys on the Pi stay as they are, and another key is a
/// problem.
pub fn restore(entries: &mut Entries, earlier: &Earlier) -> Vec<Problem> {
    let mut problems = Vec::new();
    for key in Key::ALL.into_iter().filter(|key| key.is_stored()) {
        problems.extend(restore_value(entries, key, earlier));
    }
    if !earlier.is_set_up {
        // A marker here means that a power cut came between erasing the key and recording the first start, or that the
        // file is from another card.
        problems.extend(restore_value(entries, Key::Ssh, earlier));
    } else if let Some(entry) = entries.get(Key::Ssh) {
        if entry.value == STORED || earlier.stored.value(Key::Ssh) == Some(&entry.value) {
            entries.replace_value(Key::Ssh, STORED);
        } else {
            problems.push(Problem::of_key(
                Some(entry.line),
                Key::Ssh.name(),
                Reason::LateSshKey,
            ));
        }
    }
    problems
}

/// Puts the stored value of one key in place of its marker.
fn restore_value(entries: &mut Entries, key: Key, earlier: &Earlier) -> Option<Problem> {
    let entry = entries.get(key).filter(|entry| entry.value == STORED)?;
    let Some(value) = earlier.stored.value(key) else {
        return Some(Problem::of_key(
            Some(entry.line),
            key.name(),
            Reason::NothingStored,
        ));
    };
    entries.replace_value(key, value);
    None
}

/// The secrets of entries without markers, in the format of `comptoir.txt`. The SSH key comes from `earlier` if the
/// entries have only its marker.
pub fn stored(entries: &Entries, earlier: &Earlier) -> String {
    let line = |key: Key| {
        let value = match entries.value(key)? {
            STORED => earlier.stored.value(key)?,
            value => value,
        };
        Some(format!("{}={value}\n", key.name()))
    };
    let keys = Key::ALL.into_iter();
    keys.filter(|key| key.is_stored() || *key == Key::Ssh)
        .filter_map(line)
        .collect()
}

/// The bytes of `comptoir.txt` with a marker in place of each secret; everything else stays as it is.
pub fn erase(bytes: &[u8]) -> Vec<u8> {
    let lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(erase_line).collect();
    lines.join(&b'\n')
}

fn erase_line(line: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(line) else {
        return line.to_vec();
    };
    let code = text.trim_start_matches(['\u{feff}', '#', ' ', '\t']);
    let Some((name, value)) = code.split_once('=') else {
        return line.to_vec();
    };
    let value = value.trim();
    let is_comment = text[..text.len() - code.len()].contains('#');
    let marker = if is_comment { ERASED } else { STORED };
    let erased = match Key::from_name(name.trim_end()) {
        _ if value.is_empty() || value == STORED || value == ERASED => return line.to_vec(),
        Some(key) if key.is_stored() || key == Key::Ssh => marker.to_owned(),
        Some(Key::Simulator) => without_password(value, marker),
        Some(Key::Terminals) => {
            let tills = value.split(' ').map(|till| without_password(till, marker));
            tills.collect::<Vec<_>>().join(" ")
        }
        _ => return line.to_vec(),
    };
    let (head, rest) = text.split_at(text.len() - code.len() + name.len() + 1);
    format!("{head}{}", rest.replacen(value, &erased, 1)).into_bytes()
}

/// `NAME:PASSWORD` with a marker in place of the password.
fn without_password(user: &str, marker: &str) -> String {
    match user.split_once(':') {
        Some((name, _)) => format!("{name}:{marker}"),
        None => user.to_owned(),
    }
}

/// Reads the file that [`stored`] wrote. A missing file holds nothing.
pub fn read_earlier(file: Option<&Path>, is_set_up: bool) -> Earlier {
    let stored = match file {
        Some(file) => file::read(file).0,
        None => Entries::default(),
    };
    Earlier { stored, is_set_up }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    fn entries(text: &str) -> Entries {
        let (entries, problems) = parse(text.as_bytes());
        assert_eq!(problems, [], "{text}");
        entries
    }

    fn earlier(stored: &str, is_set_up: bool) -> Earlier {
        Earlier {
            stored: entries(stored),
            is_set_up,
        }
    }

    fn reasons(text: &str, earlier: &Earlier) -> Vec<(usize, Reason)> {
        let problems = restore(&mut entries(text), earlier);
        let named = |problem: Problem| (problem.line.unwrap(), problem.reason);
        problems.into_iter().map(named).collect()
    }

    const KEY: &str = "SSH_KEY=ssh-ed25519 AAAA me@there\n";

    #[test]
    fn a_marker_stands_for_the_stored_value_and_a_new_value_takes_its_place() {
        let earlier = earlier("KAFKA_PASSWORD=one=1\nWIFI_PASSWORD=pass word\n", true);
        let mut read = entries("KAFKA_PASSWORD=(stored)\nWIFI_PASSWORD=another one\n");
        assert_eq!(restore(&mut read, &earlier), []);
        assert_eq!(read.value(Key::KafkaPassword), Some("one=1"));
        assert_eq!(read.value(Key::WifiPassword), Some("another one"));
        assert_eq!(
            stored(&read, &earlier),
            "WIFI_PASSWORD=another one\nKAFKA_PASSWORD=one=1\n"
        );
    }

    #[test]
    fn a_setting_that_is_gone_is_no_longer_stored() {
        let earlier = earlier(&format!("{KEY}KAFKA_PASSWORD=secret\n"), true);
        let mut read = entries("STORE=paris-1\n");
        assert_eq!(restore(&mut read, &earlier), []);
        assert_eq!(stored(&read, &earlier), "");
    }

    #[test]
    fn a_marker_of_another_card_is_refused() {
        for key in ["WIFI_PASSWORD", "KAFKA_PASSWORD", "DASHBOARD_PASSWORD", "SSH_KEY"] {
            let found = reasons(&format!("\n{key}=(stored)"), &earlier("", false));
            assert_eq!(found, [(2, Reason::NothingStored)], "{key}");
        }
    }

    #[test]
    fn an_ssh_key_counts_only_at_the_first_start() {
        let mut first = entries(KEY);
        assert_eq!(restore(&mut first, &earlier("", false)), []);
        assert_eq!(first.value(Key::Ssh), Some("ssh-ed25519 AAAA me@there"));
        assert_eq!(stored(&first, &earlier("", false)), KEY);
        assert_eq!(
            reasons("SSH_KEY=ssh-ed25519 BBBB thief", &earlier(KEY, true)),
            [(1, Reason::LateSshKey)]
        );
        assert_eq!(reasons(KEY, &earlier("", true)), [(1, Reason::LateSshKey)]);
    }

    #[test]
    fn the_ssh_key_of_the_first_start_and_its_marker_leave_the_keys_on_the_pi_as_they_are() {
        for text in [KEY, "SSH_KEY=(stored)\n"] {
            let mut read = entries(text);
            assert_eq!(restore(&mut read, &earlier(KEY, true)), []);
            assert_eq!(read.value(Key::Ssh), Some(STORED));
            assert_eq!(stored(&read, &earlier(KEY, true)), KEY);
        }
        // The first start was interrupted after the key was erased.
        let mut read = entries("SSH_KEY=(stored)\n");
        assert_eq!(restore(&mut read, &earlier(KEY, false)), []);
        assert_eq!(read.value(Key::Ssh), Some("ssh-ed25519 AAAA me@there"));
    }

    #[test]
    fn every_secret_is_erased_and_nothing_else_is_changed() {
        let before = "\u{feff}WIFI_PASSWORD=pass word\r\n# a comment with = and WIFI_PASSWORD\r\nSTORE=paris-1\r\n\
             WIFI_SSID=pass word\r\n KAFKA_PASSWORD =  KAFKA_PASSWORD \r\nKAFKA_USER=u\r\n\
             TERMINALS=till-1  till-2:chosen-by-hand till-3:with space\r\nSIMULATOR=sim:long enough\r\n\
             #DASHBOARD_PASSWORD=old secret\r\nDASHBOARD_PASSWORD=\r\nDASHBOARD_PASSWORD=new=secret\r\n\
             SSH_KEY=ssh-ed25519 AAAA me@there";
        let after = "\u{feff}WIFI_PASSWORD=(stored)\r\n# a comment with = and WIFI_PASSWORD\r\nSTORE=paris-1\r\n\
             WIFI_SSID=pass word\r\n KAFKA_PASSWORD =  (stored) \r\nKAFKA_USER=u\r\n\
             TERMINALS=till-1  till-2:(stored) till-3:(stored) space\r\nSIMULATOR=sim:(stored)\r\n\
             #DASHBOARD_PASSWORD=(erased)\r\nDASHBOARD_PASSWORD=\r\nDASHBOARD_PASSWORD=(stored)\r\n\
             SSH_KEY=(stored)";
        assert_eq!(String::from_utf8(erase(before.as_bytes())).unwrap(), after);
        assert_eq!(erase(after.as_bytes()), after.as_bytes());
    }
}
