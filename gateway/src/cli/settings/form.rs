//! The accepted form of each value: a test for the program and a description for people.

use super::problem::Form;

pub const STORE: Form = Form {
    noun: "a store name",
    accepted: "1 to 32 characters of a-z, 0-9 and -, not beginning with -",
    example: "paris-1",
};
pub const HOSTNAME: Form = Form {
    noun: "a host name",
    accepted: "1 to 63 characters of a-z, 0-9 and -, not beginning or ending with -",
    example: "comptoir",
};
pub const WIFI_COUNTRY: Form = Form {
    noun: "a country code",
    accepted: "two capital letters",
    example: "FR",
};
pub const WIFI_SSID: Form = Form {
    noun: "a Wi-Fi name",
    accepted: "at most 32 bytes (an accented letter has two)",
    example: "Shop",
};
pub const WIFI_PASSWORD: Form = Form {
    noun: "a Wi-Fi password",
    accepted: "8 to 63 characters",
    example: "correct-horse",
};
pub const TIMEZONE: Form = Form {
    noun: "a known time zone",
    accepted: "REGION/CITY",
    example: "Europe/Paris",
};
pub const KAFKA_SECURITY: Form = Form {
    noun: "a security protocol",
    accepted: "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    example: "SASL_SSL",
};
pub const KAFKA_MECHANISM: Form = Form {
    noun: "a SASL mechanism",
    accepted: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    example: "SCRAM-SHA-512",
};
pub const SIMULATOR: Form = Form {
    noun: "a user and password",
    accepted: "NAME:PASSWORD, the password with at least 8 characters and without another colon",
    example: "simulator:secret-of-it",
};
pub const DASHBOARD_PASSWORD: Form = Form {
    noun: "a password",
    accepted: "at least 8 characters",
    example: "correct-horse",
};
pub const LOG_FORMAT: Form = Form {
    noun: "a log format",
    accepted: "text or json",
    example: "json",
};
pub const SSH_KEY: Form = Form {
    noun: "a public key",
    accepted: "the one line of the .pub file",
    example: "ssh-ed25519 AAAAC3Nz… me@laptop",
};

/// A store's or till's name, used as a level of an MQTT topic: `[a-z0-9][a-z0-9-]{0,31}`.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=32).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-')
}

/// One label of a DNS name, in lower case.
pub fn is_hostname(text: &str) -> bool {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let dashed = text.starts_with('-') || text.ends_with('-');
    (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !dashed
}

/// The form of an ISO 3166 code; the kernel knows which countries exist.
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// IEEE 802.11 limits the name to 32 bytes.
pub fn is_ssid(text: &str) -> bool {
    text.len() <= 32
}

/// A WPA passphrase, in bytes.
pub fn is_wifi_password(text: &str) -> bool {
    (8..=63).contains(&text.len())
}

pub fn is_dashboard_password(text: &str) -> bool {
    text.chars().count() >= 8
}

/// A password for Mosquitto's password file, where a colon ends the user name and surrounding spaces are lost.
pub fn is_mqtt_password(text: &str) -> bool {
    text.chars().count() >= 8 && !text.contains(':') && text.trim() == text
}

/// A line of `id_ed25519.pub` or a similar file. A private key, or a key without its type, is refused.
pub fn is_public_key(text: &str) -> bool {
    let mut words = text.splitn(3, ' ');
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return false;
    };
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let prefixes = ["ssh-", "ecdsa-", "sk-"];
    let has_kind = prefixes
        .iter()
        .any(|prefix| kind.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    has_kind && !key.is_empty() && key.bytes().all(base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_name_is_what_an_mqtt_topic_can_hold() {
        for name in ["a", "007", "paris-1", &"x".repeat(32)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Paris 1", "-x", "till_2", "é", &"x".repeat(33)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_host_name_neither_begins_nor_ends_with_a_dash() {
        assert!(is_hostname("counter-2") && is_hostname(&"x".repeat(63)));
        for name in ["-x", "x-", "a.b", "A", &"x".repeat(64)] {
            assert!(!is_hostname(name), "{name}");
        }
    }

    #[test]
    fn wifi_limits_are_in_bytes() {
        assert!(is_ssid(&"é".repeat(16)) && !is_ssid(&"é".repeat(17)));
        assert!(is_wifi_password("12345678") && !is_wifi_password("hunter2"));
        assert!(!is_wifi_password(&"x".repeat(64)));
    }

    #[test]
    fn an_mqtt_password_has_no_colon_and_no_space_at_its_edges() {
        assert!(is_mqtt_password("chosen by hand"));
        for password in ["hunter2", "with:colon", " hunter22", "hunter22 "] {
            assert!(!is_mqtt_password(password), "{password}");
        }
    }

    #[test]
    fn a_public_key_has_a_type_and_base64() {
        for key in [
            "ssh-ed25519 AAAAC3Nz me@there",
            "ecdsa-sha2-nistp256 AAAA",
            "sk-ssh-x AA== a b",
        ] {
            assert!(is_public_key(key), "{key}");
        }
        for key in [
            "AAAA",
            "ssh-ed25519",
            "ssh- AAAA",
            "ssh-rsa AA?A",
            "ssh-rsa  AAAA",
        ] {
            assert!(!is_public_key(key), "{key}");
        }
    }
}
