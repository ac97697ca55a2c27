//! An archive in volumes: `archive create --split`.

use crate::archive::archived;

#[test]
fn volumes_are_the_same_archive_cut() {
    let space = archived();
    let whole = std::fs::read(space.path("a.tar.zst")).unwrap();
    let size = whole.len() / 3 + 1;
    let split =
        ["archive", "create", "pipelines/quick.yaml", "-o", "v.tar.zst", "--split", &size.to_string()];
    let created = space.run(&split);
    assert!(
        created.code == 0 && created.stderr.contains("3 volumes: v.tar.zst.001 to v.tar.zst.003"),
        "{created:?}"
    );
    let volume = |number: usize| space.path(&format!("v.tar.zst.{number:03}"));
    let volumes: Vec<_> = (1..=3).map(|number| std::fs::read(volume(number)).unwrap()).collect();
    assert!(volumes.concat() == whole, "cat makes the one file of them");
    let verify = |name: &str| space.run(&["archive", "verify", name]);
    for name in ["v.tar.zst", "v.tar.zst.001", "v.tar.zst.003"] {
        assert_eq!(verify(name).stdout, created.stdout);
    }
    let into = ["archive", "import", "v.tar.zst", "--results", "elsewhere"];
    assert_eq!(space.run(&into).stdout, "11 results imported, 0 known already\n");

    let many = space.run(&["archive", "create", "pipelines/quick.yaml", "-o", "v.tar.zst", "--split", "1kB"]);
    assert!(many.code == 2 && many.stderr.contains("choose larger ones, as with '--split 1MB'"), "{many:?}");

    let refused = |change: &dyn Fn()| {
        change();
        let ran = verify("v.tar.zst.001");
        volumes.iter().zip(1..).for_each(|(bytes, number)| std::fs::write(volume(number), bytes).unwrap());
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        ran.stderr.replace("\n  │ ", " ")
    };
    let last = refused(&|| std::fs::remove_file(volume(3)).unwrap());
    assert!(last.contains("'v.tar.zst.002' is the last one here, and not the end"), "{last}");
    let middle = refused(&|| std::fs::remove_file(volume(2)).unwrap());
    assert!(middle.contains("'v.tar.zst.002' is missing") && middle.contains("all volumes"), "{middle}");
    let short = refused(&|| std::fs::write(volume(2), &volumes[1][1..]).unwrap());
    assert!(short.contains("'v.tar.zst.002' is not as long as the first one"), "{short}");
    let swapped = refused(&|| std::fs::write(volume(2), &volumes[0]).unwrap());
    assert!(swapped.contains("cannot be unpacked"), "{swapped}");
}
