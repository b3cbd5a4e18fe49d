//! Password rules: passwords must be long, and not among those that attackers try first (NIST SP 800-63B, 5.1.1.2).

use crate::Error;

/// Shortest password, in characters.
pub const MIN_PASSWORD: usize = 8;
/// Longest password, in bytes. Argon2 would accept more; the limit keeps a request cheap.
const MAX_PASSWORD: usize = 1_024;
/// If a password has no more characters than this besides known words, the words give it away.
const MAX_REST: usize = 4;
/// A password that repeats at most this many characters is guessed as early.
const MAX_PERIOD: usize = 4;
/// Shorter names of users or shops are ignored, because they are part of many words.
const MIN_NAME: usize = 3;

/// The words of the most frequent passwords in English, French and German, and those of this program. Digits that only
/// count up or repeat need no entry. Longer words precede those that they contain.
const WORDS: &[&str] = &[
    "administrateur",
    "administrator",
    "administration",
    "contraseña",
    "motdepasse",
    "mot de passe",
    "passwort",
    "password",
    "passw0rd",
    "p@ssword",
    "p@ssw0rd",
    "pa$$word",
    "pa$$w0rd",
    "geheim",
    "kennwort",
    "secret",
    "azertyuiop",
    "qwertyuiop",
    "qwertzuiop",
    "azerty",
    "qwerty",
    "qwertz",
    "asdfghjkl",
    "asdfgh",
    "qsdfghjklm",
    "zxcvbnm",
    "wxcvbn",
    "1q2w3e4r5t",
    "1q2w3e4r",
    "1a2z3e4r",
    "q1w2e3r4",
    "a1z2e3r4",
    "1qaz2wsx",
    "zaq12wsx",
    "1qaz@wsx",
    "qazwsx",
    "123qwe",
    "123aze",
    "abc123",
    "123abc",
    "123456",
    "654321",
    "112233",
    "121212",
    "123321",
    "696969",
    "000000",
    "111111",
    "iloveyou",
    "jetaime",
    "je t'aime",
    "bonjour",
    "soleil",
    "doudou",
    "loulou",
    "chouchou",
    "princesse",
    "princess",
    "nicolas",
    "camille",
    "thomas",
    "marseille",
    "bienvenue",
    "willkommen",
    "welcome",
    "letmein",
    "changeme",
    "change-me",
    "default",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "sunshine",
    "superman",
    "batman",
    "starwars",
    "pokemon",
    "trustno1",
    "whatever",
    "master",
    "shadow",
    "michael",
    "jennifer",
    "charlie",
    "ashley",
    "jordan",
    "hunter",
    "computer",
    "ordinateur",
    "internet",
    "samsung",
    "google",
    "raspberry",
    "gateway",
    "comptoir",
    "boutique",
    "magasin",
    "caisse",
    "kasse",
    "cashier",
    "vendeur",
    "manager",
    "gerant",
    "gérant",
    "admin",
    "login",
    "user",
    "test",
    "guest",
];

/// Checks a new password.
///
/// # Errors
/// The password of the user `name` of the shop `store` is too short, too long, or easy to guess.
pub fn check(password: &str, name: &str, store: &str) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::InvalidPassword(why));
    if password.chars().count() < MIN_PASSWORD {
        return refuse(format!("a password has at least {MIN_PASSWORD} characters"));
    }
    if password.len() > MAX_PASSWORD {
        return refuse(format!("a password has at most {MAX_PASSWORD} bytes"));
    }
    let password = password.to_lowercase();
    if is_pattern(&password) {
        return refuse(
            "this password repeats or counts up a few characters, so it is guessed early; choose, for example, four words"
                .to_owned(),
        );
    }
    if is_known(&password, name, store) {
        return refuse(
            "this password is little more than a frequent password or a name, so it is guessed early; choose, for example, \
             four words"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether the password consists of one or two characters, of a few repeated characters, or of one or two sequences
/// such as `abcd` and `4321`.
fn is_pattern(password: &str) -> bool {
    let characters: Vec<char> = password.chars().collect();
    let is_periodic = |period: &usize| {
        let ahead = characters.iter().skip(*period);
        characters.iter().zip(ahead).all(|(one, next)| one == next)
    };
    let first = characters.first();
    let second = characters.iter().find(|c| Some(*c) != first);
    let has_two = characters.iter().all(|c| Some(c) == first || Some(c) == second);
    let pairs = characters.iter().zip(characters.iter().skip(1));
    let breaks = pairs.filter(|(one, next)| u32::from(**one).abs_diff(u32::from(**next)) > 1);
    has_two || (1..=MAX_PERIOD).any(|period| is_periodic(&period)) || breaks.count() <= 1
}

/// Whether hardly anything is left after removing frequent passwords and the names of the user and the shop.
fn is_known(password: &str, name: &str, store: &str) -> bool {
    let names = [name, store].map(str::to_lowercase);
    // `paris-1` is also written `paris1`.
    let joined = names
        .clone()
        .map(|name| name.replace(|c: char| !c.is_alphanumeric(), ""));
    let names = names.iter().chain(&joined).map(String::as_str);
    let names = names.filter(|name| name.chars().count() >= MIN_NAME);
    let mut rest = password.to_owned();
    for word in names.chain(WORDS.iter().copied()) {
        if rest.contains(word) {
            rest = rest.replace(word, "");
        }
    }
    rest.chars().count() <= MAX_REST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_measured_in_characters_and_limited_in_bytes() {
        let long = "correct horse battery staple ".repeat(40);
        for (password, expected) in [
            ("x7#kq2m", false),
            ("éàùçôîâk", true),
            (&long[..1_024], true),
            (&long[..1_025], false),
        ] {
            assert_eq!(
                check(password, "marie", "paris-1").is_ok(),
                expected,
                "{password}"
            );
        }
    }

    #[test]
    fn a_password_that_attackers_try_first_is_refused() {
        for password in [
            "password",
            "Password1!",
            "PASSWORD2024",
            "12345678",
            "0987654321",
            "123456789a",
            "comptoir",
            "Comptoir2026",
            "aaaaaaaaaaaa",
            "abababababab",
            "ababbabaaabb",
            "20242024",
            "abcdefgh",
            "abcd1234",
            "11112222",
            "motdepasse",
            "azertyuiop",
            "azerty123",
            "qwerty12",
            "1q2w3e4r",
            "p@ssw0rd",
            "adminadmin",
            "admin1234",
            "bonjour1",
            "marie123",
            "MarieMarie",
            "paris-1paris-1",
            "paris1marie",
            "Zoé Müller",
            "zoémüller1",
        ] {
            let user = match password.to_lowercase().starts_with('z') {
                true => "Zoé Müller",
                false => "marie",
            };
            let refused = check(password, user, "paris-1");
            assert!(matches!(refused, Err(Error::InvalidPassword(_))), "{password}");
        }
    }

    #[test]
    fn a_password_that_only_contains_a_word_or_a_name_is_accepted() {
        for password in [
            "sésame ouvre-toi",
            "correct horse battery staple",
            "marie likes four words",
            "x7#kq2mv",
            "hunter2 and his dog",
            "0042 for the test",
        ] {
            assert!(check(password, "marie", "paris-1").is_ok(), "{password}");
        }
        // A short name is part of many words.
        assert!(check("alsaldalba", "al", "a").is_ok());
    }
}
