//! The configuration files of the services, in each service's format. The shell script installs them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::valid::{MqttUser, MqttUserKind, Settings, SshKeys, Variable, Wifi};

/// Written instead of all other files if a setting has an error.
pub const PROBLEMS: &str = "problems";
/// The settings with their secrets erased, to replace the original file.
pub const WITHOUT_SECRETS: &str = "comptoir.txt";
/// The secrets, kept for the next start.
pub const STORED: &str = "stored";

/// Writes the files into the folder, readable only by their owner.
///
/// # Errors
///
/// A file cannot be written.
pub fn write(folder: &Path, settings: &Settings) -> io::Result<()> {
    let write = |name: &str, text: &str| write_file(folder, name, text.as_bytes());
    write("settings.env", &environment_file(settings.variables()))?;
    write("hostname", &format!("{}\n", settings.hostname))?;
    write("timezone", &format!("{}\n", settings.timezone))?;
    write("mqtt-users", &mqtt_users(&settings.mqtt_users))?;
    if let Some(wifi) = &settings.wifi {
        write("wpa_supplicant.conf", &wpa_supplicant(wifi))?;
    }
    match &settings.ssh_keys {
        Some(SshKeys::Only(key)) => write("authorized_keys", &format!("{key}\n"))?,
        Some(SshKeys::Unchanged) => write("authorized_keys.unchanged", "")?,
        None => {}
    }
    Ok(())
}

/// Writes a file readable only by its owner.
///
/// # Errors
///
/// The file cannot be written.
pub fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    io::Write::write_all(&mut options.open(folder.join(name))?, bytes)
}

/// systemd's format for `EnvironmentFile=`: the value is in quotation marks, and a backslash escapes the next
/// character.
fn environment_file(variables: &[Variable]) -> String {
    let line = |variable: &Variable| {
        let value = variable.value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{}=\"{value}\"\n", variable.name)
    };
    variables.iter().map(line).collect()
}

/// One user per line: kind, name and password, separated by tabs, which none of them can contain. The third field is
/// empty without a password.
fn mqtt_users(users: &[MqttUser]) -> String {
    let line = |user: &MqttUser| {
        // The subcommands of comptoir-terminal.
        let kind = match user.kind {
            MqttUserKind::Till => "add",
            MqttUserKind::AnyTill => "add-any",
        };
        format!(
            "{kind}\t{}\t{}\n",
            user.name,
            user.password.as_deref().unwrap_or_default()
        )
    };
    users.iter().map(line).collect()
}

fn wpa_supplicant(wifi: &Wifi) -> String {
    // pmf=1: protected management frames where both sides support them.
    let mut text = format!(
        "ctrl_interface=DIR=/run/wpa_supplicant\ncountry={}\npmf=1\nnetwork={{\n",
        wifi.country
    );
    // In hexadecimal, because a name may contain any character.
    let ssid = wifi.ssid.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let _ = writeln!(text, "    ssid={ssid}");
    text += &match &wifi.password {
        // WPA-PSK without SAE: the Pi's chips fail with SAE at access points that offer WPA2 and WPA3.
        Some(password) => format!("    psk=\"{password}\"\n    key_mgmt=WPA-PSK\n"),
        None => "    key_mgmt=NONE\n".to_owned(),
    };
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::super::file::parse;
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, Vec<String>) {
        let (entries, _) = parse(text.as_bytes());
        let zoneinfo = tempfile::tempdir().unwrap();
        let settings = Settings::from_entries(&entries, zoneinfo.path());
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &settings.unwrap_or_else(|problems| panic!("{problems:?}")),
        )
        .unwrap();
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        (folder, names)
    }

    fn read(folder: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(PathBuf::from(folder.path()).join(name)).unwrap()
    }

    #[test]
    fn what_is_not_set_has_no_file() {
        let (folder, names) = written("");
        assert_eq!(names, ["hostname", "mqtt-users", "settings.env", "timezone"]);
        assert_eq!(read(&folder, "hostname"), "comptoir\n");
        assert_eq!(read(&folder, "timezone"), "Etc/UTC\n");
        assert_eq!(read(&folder, "settings.env") + &read(&folder, "mqtt-users"), "");
    }

    #[test]
    fn only_the_owner_can_read_the_files() {
        let (folder, names) = written("STORE=paris-1\nSSH_KEY=ssh-ed25519 AAAA");
        assert!(names.contains(&"authorized_keys".to_owned()));
        for name in names {
            let mode = fs::metadata(folder.path().join(&name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn quotation_marks_and_backslashes_are_escaped_for_systemd() {
        let (folder, _) = written("STORE=007\nKAFKA_PASSWORD=a\\b\"c=$d#");
        assert_eq!(
            read(&folder, "settings.env"),
            "COMPTOIR_STORE=\"\\\"007\\\"\"\nCOMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD=\"a\\\\b\\\"c=$d#\"\n"
        );
    }

    #[test]
    fn a_wifi_name_is_written_in_hexadecimal_and_the_network_uses_no_sae() {
        let (folder, _) = written("WIFI_COUNTRY=FR\nWIFI_SSID=Zoé\nWIFI_PASSWORD=pass word's \"1\"");
        assert_eq!(
            read(&folder, "wpa_supplicant.conf"),
            "ctrl_interface=DIR=/run/wpa_supplicant\ncountry=FR\npmf=1\nnetwork={\n    ssid=5a6fc3a9\n    \
             psk=\"pass word's \"1\"\"\n    key_mgmt=WPA-PSK\n}\n"
        );
        let (folder, _) = written("WIFI_COUNTRY=FR\nWIFI_SSID=Guests");
        assert!(read(&folder, "wpa_supplicant.conf").ends_with("    key_mgmt=NONE\n}\n"));
    }

    #[test]
    fn mqtt_users_are_written_with_the_subcommand_that_makes_them() {
        let (folder, _) =
            written("STORE=a\nTERMINALS=till-1 till-2:chosen-by-hand\nSIMULATOR=sim:long enough");
        assert_eq!(
            read(&folder, "mqtt-users"),
            "add\ta/till-1\t\nadd\ta/till-2\tchosen-by-hand\nadd-any\tsim\tlong enough\n"
        );
    }
}
