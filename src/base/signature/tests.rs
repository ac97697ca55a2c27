//! Keys and signatures beside those that minisign 0.11 of Debian made: `vectors/`, by
//! `minisign -G`, with `-W` for `plain`, and `minisign -S`, with `-l` for `legacy`. The password is `geheim`.

use super::*;

const MESSAGE: &[u8] = include_bytes!("vectors/message.txt");
const PLAIN: &str = include_str!("vectors/plain.minisig");
const LEGACY: &str = include_str!("vectors/legacy.minisig");
const LOCKED: &str = include_str!("vectors/locked.minisig");

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/base/signature/vectors").join(name)
}

fn trusted(names: &[&str]) -> Trusted {
    Trusted::read(&names.iter().map(|name| vector(name)).collect::<Vec<_>>()).unwrap()
}

/// A file of its own with this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fsx::write_atomic(file.path(), text.as_bytes()).unwrap();
    file
}

#[test]
fn what_minisign_signed_is_believed() {
    let both = trusted(&["locked.pub", "plain.pub"]);
    for (signature, says) in [(PLAIN, "a comment: ä"), (LEGACY, "legacy"), (LOCKED, "locked")] {
        let key = both.verify(MESSAGE, signature).unwrap();
        assert_eq!(comment(signature).as_deref(), Some(says));
        let one = trusted(&[if says == "locked" { "locked.pub" } else { "plain.pub" }]);
        assert_eq!(one.verify(MESSAGE, signature).unwrap(), key);
    }
}

/// Ed25519 draws nothing: all but the comment for people is byte for byte what minisign wrote.
#[test]
fn we_sign_with_the_keys_of_minisign_and_as_it_does() {
    for (key, password, signature) in [("plain.key", None, PLAIN), ("locked.key", Some("geheim"), LOCKED)] {
        let signer = Signer::open(&vector(key), password).unwrap();
        let ours = signer.sign(MESSAGE, &comment(signature).unwrap());
        let lines = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&ours), lines(signature));
        assert!(ours.starts_with("untrusted comment: ") && ours.ends_with('\n'));
        assert!(signature.contains(&lines(&ours)[0]), "{}", signer.key_id());
        let public = fsx::read_to_string(&vector(&key.replace("key", "pub"))).unwrap();
        assert_eq!(signer.public_key(), public);
        assert!(public.contains(&signer.key_id()));
    }
}

#[test]
fn new_keys_sign_and_are_read_again() {
    for password in [None, Some("p ä")] {
        let new = new_key(password).unwrap();
        let (secret, public) = (file(&new.secret), file(&new.public));
        let signer = Signer::open(secret.path(), password).unwrap();
        let text = signer.sign(b"x", "two\nlines");
        assert_eq!(comment(&text).as_deref(), Some("two lines"));
        let trusted = Trusted::read(&[public.path().to_owned()]).unwrap();
        assert_eq!(trusted.verify(b"x", &text).unwrap(), new.id);
        assert_eq!(format!("{signer:?}"), format!("Signer({})", new.id));
        assert_ne!(new_key(None).unwrap().id, new.id);
    }
}

#[test]
fn what_is_not_right_is_told_apart() {
    let plain = trusted(&["plain.pub"]);
    let error = |bytes: &[u8], signature: &str| plain.verify(bytes, signature).unwrap_err();
    let (id, other) = (plain.0[0].id.to_string(), trusted(&["locked.pub"]).0[0].id.to_string());
    assert!(matches!(error(b"other", PLAIN), SignatureError::Changed { key } if key == id));
    assert!(matches!(error(MESSAGE, LOCKED), SignatureError::NotTrusted { key } if key == other));
    let commented = PLAIN.replace("a comment", "no comment");
    assert!(matches!(error(MESSAGE, &commented), SignatureError::CommentChanged { key } if key == id));
    let cut = &PLAIN[..PLAIN.len() / 2];
    for wrong in
        ["", "lock", cut, &PLAIN.replace("RU", "XX"), &PLAIN.replacen('=', "", 1), &(PLAIN.to_owned() + "x")]
    {
        assert!(matches!(error(MESSAGE, wrong), SignatureError::NoSignature { .. }), "{wrong}");
    }
    // Another key of the same id.
    let mut forged = trusted(&["locked.pub"]);
    forged.0[0].id = plain.0[0].id;
    assert!(matches!(forged.verify(MESSAGE, PLAIN), Err(SignatureError::Changed { .. })));
    forged.0.extend(plain.0.clone());
    assert!(forged.verify(MESSAGE, PLAIN).is_ok());
}

#[test]
fn keys_that_are_none_are_refused() {
    let open = |name: &str, password| Signer::open(&vector(name), password).unwrap_err();
    assert!(matches!(open("locked.key", None), SignatureError::Locked { .. }));
    assert!(matches!(open("locked.key", Some("Geheim")), SignatureError::WrongPassword { .. }));
    assert!(matches!(open("absent.key", None), SignatureError::File(error) if error.is_not_found()));
    for wrong in ["plain.pub", "message.txt", "plain.minisig"] {
        assert!(matches!(open(wrong, None), SignatureError::NoKey { .. }), "{wrong}");
    }
    for wrong in ["plain.key", "message.txt", "plain.minisig"] {
        let error = Trusted::read(&[vector(wrong)]).unwrap_err();
        assert!(matches!(error, SignatureError::NoKey { kind: "public", .. }), "{wrong}: {error}");
    }
    // Every byte of an unprotected key that says something.
    let text = new_key(None).unwrap().secret;
    let (first, line) = text.split_once('\n').unwrap();
    let bytes = format::decode(line).unwrap();
    for place in (0..6).chain(54..bytes.len()) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let file = file(&format!("{first}\n{}\n", format::encode(&[&changed])));
        assert!(matches!(Signer::open(file.path(), None), Err(SignatureError::NoKey { .. })), "{place}");
    }
    // One that would take all memory.
    let mut bytes = format::key_bytes(&fsx::read_to_string(&vector("locked.key")).unwrap()).unwrap();
    bytes[38..54].copy_from_slice(&[[0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0]].concat());
    let file = file(&format!("{first}\n{}\n", format::encode(&[&bytes])));
    let error = Signer::open(file.path(), Some("geheim")).unwrap_err();
    assert!(error.to_string().contains("more memory"), "{error}");
}
