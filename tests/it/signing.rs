//! Signed locks: made, checked, refused; beside the program minisign.

use std::process::Command;

use crate::space::{Ran, Space};

const KEY_PASSWORD: &str = "LAYERWISE_KEY_PASSWORD";
const LOCK: &str = "results/quick/lock.json";
const SIGNATURE: &str = "results/quick/lock.json.minisig";

impl Space {
    /// Makes the key pair NAME and NAME.pub.
    fn new_key(&self, name: &str, password: &str) -> Ran {
        self.run_with(KEY_PASSWORD, password, &["sign", "--new-key", name])
    }

    fn signed() -> Self {
        let space = Self::quick();
        space.run_quick(&[]);
        assert_eq!(space.new_key("mine", "").code, 0);
        assert_eq!(space.new_key("other", "").code, 0);
        let ran = space.run(&["sign", "quick", "--key", "mine"]);
        assert_eq!((ran.code, ran.stdout.trim()), (0, SIGNATURE), "{ran:?}");
        space
    }

    fn verify_by(&self, key: &str) -> Ran {
        self.run(&["verify", "quick", "--trusted", key])
    }
}

/// The words of an error, on one line.
fn words(ran: &Ran) -> String {
    ran.stderr.replace("\n  │ ", " ").replace("\n        ", " ")
}

#[track_caller]
fn assert_refused(ran: &Ran, code: i32, reason: &str) {
    let text = ran.stdout.clone() + &words(ran);
    assert!(ran.code == code && text.contains(reason), "{reason}: {ran:#?}");
}

#[test]
fn a_lock_is_signed_and_whoever_asks_is_told_by_whom() {
    let space = Space::signed();
    let signature = space.read(SIGNATURE);
    assert_eq!(space.run(&["sign", "pipelines/quick.yaml", "--key", "mine"]).code, 0);
    assert_eq!(space.read(SIGNATURE), signature, "the same bytes each time");
    let verified = space.verify_by("mine.pub");
    assert!(
        verified.code == 0 && verified.stdout.contains("quick is signed by the trusted key "),
        "{verified:?}"
    );
    let both = space.run(&["verify", "--trusted", "other.pub", "--trusted", "mine.pub"]);
    assert_eq!(both.code, 0, "{both:?}");
    assert_refused(&space.verify_by("other.pub"), 1, "which is not trusted");
    assert_refused(&space.verify_by("mine"), 2, "it is a secret one");
    assert_refused(&space.verify_by("absent.pub"), 2, "cannot read 'absent.pub'");

    let lock = space.read(LOCK);
    let space = space.write(LOCK, &(lock.clone() + "\n"));
    assert_refused(&space.verify_by("mine.pub"), 1, "it is of another lock");
    assert_refused(&space.run(&["verify"]), 1, "it is of another lock");
    let space = space.write(LOCK, &lock).write(SIGNATURE, &signature.replace("layerwise lock", "by hand"));
    assert_refused(&space.verify_by("mine.pub"), 1, "the trusted comment is not the one");
    let space = space.write(SIGNATURE, "nonsense");
    assert_refused(&space.run(&["verify"]), 1, "it is no signature of minisign");
    let space = space.write(SIGNATURE, &signature).write("results/quick/table.csv", "forged");
    assert_refused(&space.verify_by("mine.pub"), 1, "table.csv' is not what the lock says");
    assert_refused(&space.run(&["sign", "quick", "--key", "mine"]), 1, "nothing is signed");
    std::fs::remove_file(space.path(SIGNATURE)).unwrap();
    assert_refused(&space.verify_by("mine.pub"), 1, "is not signed");
}

#[test]
fn a_run_that_changes_the_lock_removes_its_signature() {
    let space = Space::signed();
    assert!(!space.run_quick(&[]).stderr.contains("signature"));
    assert!(space.path(SIGNATURE).exists());
    let ran = space.run_quick(&["--set", "seed=1"]);
    assert!(ran.stderr.contains("its signature was removed") && !space.path(SIGNATURE).exists(), "{ran:?}");
}

#[test]
fn keys_are_private_and_never_written_over() {
    let space = Space::quick();
    space.run_quick(&[]);
    let made = space.new_key("mine", "Pässwort");
    assert_eq!(made.code, 0, "{made:?}");
    let mode = |name: &str| {
        let permissions = std::fs::metadata(space.path(name)).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777
    };
    assert_eq!(mode("mine"), 0o600);
    let (secret, public) = (space.read("mine"), space.read("mine.pub"));
    assert_refused(&space.new_key("mine", ""), 2, "'mine' is there already");
    std::fs::remove_file(space.path("mine")).unwrap();
    assert_refused(&space.new_key("mine", ""), 2, "'mine.pub' is there already");
    let space = space.write("mine", &secret);
    assert_eq!(space.read("mine.pub"), public);

    let sign = ["sign", "quick", "--key", "mine"];
    let unasked = space.run(&sign);
    assert_refused(&unasked, 2, "is protected by a password");
    assert!(words(&unasked).contains(KEY_PASSWORD), "{unasked:?}");
    let wrong = space.run_with(KEY_PASSWORD, "Passwort", &sign);
    assert_refused(&wrong, 2, "the password is not that of");
    assert!(!space.path(SIGNATURE).exists());
    let right = space.run_with(KEY_PASSWORD, "Pässwort", &sign);
    assert_eq!(right.code, 0, "{right:?}");
    for ran in [made, wrong, right] {
        assert!(!(ran.stdout + &ran.stderr).contains("sswort"), "a password is not repeated");
    }
    assert_eq!(space.verify_by("mine.pub").code, 0);
    let no_terminal = space.run(&["sign", "--new-key", "third"]);
    assert_refused(&no_terminal, 2, "there is no terminal");
    assert_refused(
        &space.run_with(KEY_PASSWORD, "x", &["sign", "quick", "--key", LOCK]),
        2,
        "is no secret key",
    );
}

#[test]
fn an_archive_takes_its_signature_along() {
    let space = Space::signed();
    let create = ["archive", "create", "pipelines/quick.yaml", "--without-data", "-o", "a.tar.zst"];
    let signed = space.run(&create);
    assert_eq!(signed.code, 0, "{signed:?}");
    let verify = |key: &str| space.run(&["archive", "verify", "a.tar.zst", "--trusted", key]);
    let verified = verify("mine.pub");
    assert!(verified.code == 0 && verified.stderr.contains("signed by the trusted key"), "{verified:?}");
    assert_refused(&verify("other.pub"), 1, "which is not trusted");

    let other = Space::quick();
    for name in ["a.tar.zst", "mine.pub", "other.pub"] {
        std::fs::copy(space.path(name), other.path(name)).unwrap();
    }
    for command in [&["archive", "import"][..], &["reproduce"]] {
        let refused = other.run(&[command, &["a.tar.zst", "--trusted", "other.pub"]].concat());
        assert_refused(&refused, 1, "which is not trusted");
        assert_refused(
            &other.run(&[command, &["a.tar.zst", "--trusted", "none.pub"]].concat()),
            2,
            "none.pub",
        );
    }
    let names = |space: &Space| {
        let entries = std::fs::read_dir(space.path("")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&other),
        ["a.tar.zst", "datasets", "mine.pub", "other.pub", "pipelines"],
        "nothing is left"
    );
    let taken = other.run(&["archive", "import", "a.tar.zst", "--trusted", "mine.pub"]);
    assert_eq!(taken.code, 0, "{taken:?}");

    let markdown = space.run(&[&create[..], &["--markdown"]].concat()).stdout;
    let identity = signed.stdout.trim();
    assert_eq!(
        markdown,
        format!("Results of quick: `layerwise archive verify a.tar.zst --identity {identity}`\n")
    );
    let lock = space.read(LOCK);
    let space = space.write(LOCK, &(lock + " "));
    let unsigned = space.run(&create);
    assert!(unsigned.code == 0 && unsigned.stderr.contains("left out"), "{unsigned:?}");
    let verified = space.run(&["archive", "verify", "a.tar.zst", "--trusted", "mine.pub"]);
    assert_refused(&verified, 1, "its lock is not signed");
}

/// Debian's minisign verifies what we sign, and we what it signs.
#[test]
fn minisign_understands_us_and_we_it() {
    if Command::new("minisign").arg("-v").output().is_err() {
        eprintln!("SKIPPED: there is no minisign");
        return;
    }
    let space = Space::signed();
    let script = |text: &str| {
        let output = Command::new("sh").args(["-ec", text]).current_dir(space.path("")).output().unwrap();
        assert!(output.status.success(), "{text}: {output:#?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = script(&format!("minisign -V -p mine.pub -m {LOCK}"));
    assert!(told.contains("Trusted comment: layerwise lock quick "), "{told}");
    // It signs with our keys, protected or not, and we with its own.
    let limited = "ulimit -v 200000 && printf 'geheim\\ngeheim\\n' |";
    assert_eq!(space.new_key("locked", "geheim").code, 0);
    script(&format!("minisign -S -s mine -m {LOCK}"));
    assert_eq!(space.verify_by("mine.pub").code, 0);
    script(&format!("echo geheim | minisign -S -s locked -m {LOCK}"));
    assert_eq!(space.verify_by("locked.pub").code, 0);
    script("minisign -G -W -p plain.pub -s plain.key");
    script(&format!("{limited} minisign -G -p theirs.pub -s theirs.key"));
    for name in ["plain", "theirs"] {
        let key = format!("{name}.key");
        let ran = space.run_with(KEY_PASSWORD, "geheim", &["sign", "quick", "--key", &key]);
        assert_eq!(ran.code, 0, "{ran:?}");
        script(&format!("minisign -V -p {name}.pub -m {LOCK}"));
        assert_eq!(space.verify_by(&format!("{name}.pub")).code, 0);
    }
    script(&format!("minisign -S -l -s plain.key -m {LOCK}"));
    assert_eq!(space.verify_by("plain.pub").code, 0);
}
