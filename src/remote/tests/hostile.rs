//! A remote that lies, in 500 ways: no panic, no wrong byte in the store, nothing outside of it.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::server::{Answer, serve};
use super::*;
use crate::remote::index::{Index, NoIndex};

fn below(rng: &mut ChaCha8Rng, end: usize) -> usize {
    (rng.next_u64() % end.max(1) as u64) as usize
}

/// A remote with five results, and their keys.
fn filled() -> (TempDir, TempDir, Vec<StageKey>) {
    let (here, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let a = store(&here);
    let keys: Vec<_> = (0..5).map(|number| commit(&a, number)).collect();
    push(&remote(&cache), &a, &keys[..3], false);
    push(&remote(&cache), &a, &keys, false);
    (here, cache, keys)
}

/// Pulls into a new store, and looks at what came of it. Returns how many results came, and whether all was well.
fn attack(remote: &Remote, honest: &Store, keys: &[StageKey]) -> (usize, bool) {
    let around = TempDir::new().unwrap();
    let b = Store::open(&around.path().join("store")).unwrap();
    let pulled = pull(remote, &b, keys);
    let came = check(&b, keys);
    for key in keys.iter().filter(|key| b.lookup(**key).unwrap().is_some()) {
        let text = |store: &Store| fsx::read(&store.record_path(*key)).unwrap();
        assert_eq!(text(&b), text(honest), "a record that nobody wrote");
    }
    assert_eq!(fsx::list(around.path()).unwrap(), ["store"], "something outside of the store");
    let staging = fsx::files_below(&around.path().join("store/v1/staging")).unwrap();
    assert!(staging.is_empty(), "left behind: {staging:?}");
    match pulled {
        Ok((results, refused)) => {
            assert_eq!(results, came);
            (came, refused.is_empty() && came == keys.len())
        }
        Err(error) => {
            assert!(!error.to_string().contains('\n'));
            (came, false)
        }
    }
}

/// Attacks with each seed, several at a time: each waits for the disk most of its time.
fn attack_all(
    cache: &TempDir,
    honest: &Store,
    keys: &[StageKey],
    seeds: Range<u64>,
    lie: &(dyn Fn(u64, &str, Answer) -> Answer + Sync),
) -> Vec<(usize, bool)> {
    let chunk = |seeds: &[u64]| {
        let turn = AtomicU64::new(0);
        let lie = |path: &str, answer: Answer| lie(turn.load(Ordering::Relaxed), path, answer);
        serve(cache.path(), &lie, |address| {
            let remote = Remote::patient(address, &Access::default(), false, 0).unwrap();
            let attack = |seed: &u64| {
                turn.store(*seed, Ordering::Relaxed);
                attack(&remote, honest, keys)
            };
            seeds.iter().map(attack).collect::<Vec<_>>()
        })
    };
    let seeds: Vec<u64> = seeds.collect();
    std::thread::scope(|scope| {
        let chunks = seeds.chunks(seeds.len().div_ceil(8));
        let threads: Vec<_> = chunks.map(|seeds| scope.spawn(move || chunk(seeds))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn mutate(rng: &mut ChaCha8Rng, mut answer: Answer, others: &[Vec<u8>]) -> Answer {
    let at = below(rng, answer.body.len());
    match below(rng, 11) {
        0 if !answer.body.is_empty() => answer.body[at] ^= 1 << below(rng, 8),
        1 => {
            answer.body.truncate(at);
            answer.length = at;
        }
        // The connection ends too early.
        2 => answer.body.truncate(at),
        3 => {
            answer.body.extend_from_slice(&[7; 1000]);
            answer.length = answer.body.len();
        }
        4 => {
            answer = Answer {
                range: answer.range,
                ..Answer::new(answer.status, others[below(rng, others.len())].clone())
            }
        }
        5 => answer = Answer { range: answer.range, ..Answer::new(answer.status, Vec::new()) },
        6 => answer = Answer::new([204, 301, 400, 403, 404, 500, 503][below(rng, 7)], b"no\nand no".to_vec()),
        // All in the place of a part.
        7 => answer = Answer::new(200, others[below(rng, others.len())].clone()),
        8 => answer.length = usize::MAX / 4,
        9 => answer.body.rotate_left(at),
        _ => {
            // A frame of 64 MiB of nothing.
            let bomb = piece::pack(&vec![0; 1 << 26]);
            answer = Answer { range: answer.range, ..Answer::new(answer.status, bomb) };
        }
    }
    answer
}

#[test]
fn answers_that_were_tampered_with_do_no_harm() {
    let (here, cache, keys) = filled();
    let honest = store(&here);
    let files = fsx::files_below(cache.path()).unwrap();
    let bodies: Vec<_> = files.iter().map(|name| fsx::read(&cache.path().join(name)).unwrap()).collect();
    let lie = |seed: u64, path: &str, answer: Answer| {
        if seed == 0 || path != files[seed as usize % files.len()] {
            return answer;
        }
        mutate(&mut ChaCha8Rng::seed_from_u64(seed), answer, &bodies)
    };
    let fates = attack_all(&cache, &honest, &keys, 0..401, &lie);
    assert_eq!(fates[0], (5, true), "who says the truth is believed");
    let whole = fates[1..].iter().filter(|(_, is_well)| *is_well).count();
    let results: usize = fates[1..].iter().map(|(came, _)| came).sum();
    println!("400 answers tampered with: {whole} pulls lacked nothing, {results} results of 2000 came");
    assert!(results > 500, "one bad answer does not spoil the rest");
    assert!(whole < 100, "what is tampered with is noticed: {whole}");
}

/// An index with something wrong in it, under the name that fits.
fn forge(indices: &[Index], seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut forged = indices[below(&mut rng, indices.len())].clone();
    let number = |rng: &mut ChaCha8Rng| [0, 1, 7, 1 << 20, u64::MAX][below(rng, 5)];
    let (record, object) = (below(&mut rng, forged.records.len()), below(&mut rng, forged.objects.len()));
    let other = forged.objects[below(&mut rng, forged.objects.len())].clone();
    let any = Digest::of(&seed.to_le_bytes());
    match below(&mut rng, 9) {
        0 => forged.records[record].key = any.into(),
        1 => forged.records[record].digest = any,
        2 => forged.records[record].size = number(&mut rng),
        3 => forged.records[record].at.1 = number(&mut rng),
        4 => forged.records[record].at.2 = number(&mut rng),
        5 => forged.objects[object].size = number(&mut rng),
        6 => forged.objects[object].at = other.at,
        7 => forged.objects[object].digest = other.digest,
        _ => forged.packs[0] = any,
    }
    forged.to_bytes()
}

#[test]
fn lies_that_fit_together_do_no_harm() {
    let (here, cache, keys) = filled();
    let honest = store(&here);
    let folder = cache.path().join("v1/index");
    let indices: Vec<_> = fsx::list(&folder).unwrap();
    let read = |name: &String| {
        let bytes = fsx::read(&folder.join(name)).unwrap();
        Index::parse(Digest::parse(name).unwrap(), &bytes).unwrap()
    };
    let indices: Vec<Index> = indices.iter().map(read).collect();
    let forged: Vec<Vec<u8>> = (0..100).map(|seed| forge(&indices, seed)).collect();
    let is_refused = |bytes: &&Vec<u8>| Index::parse(Digest::of(bytes), bytes) == Err(NoIndex::Damaged);
    let refused = forged.iter().filter(is_refused).count();
    // The other index is honest, and has some of the same.
    let lie = |seed: u64, path: &str, answer: Answer| {
        let bytes = &forged[seed as usize];
        let name = Digest::of(bytes).to_string();
        match path {
            "v1/catalogue" => Answer::new(200, format!("{name}\n").into_bytes()),
            path if path.ends_with(&name) => Answer::new(200, bytes.clone()),
            _ => answer,
        }
    };
    let came: usize = attack_all(&cache, &honest, &keys, 0..100, &lie).iter().map(|(came, _)| came).sum();
    println!("100 forged indices: {refused} refused at once, {came} results came");
    assert!(refused > 5 && came > 50);
}

/// What an attacker says who can make keys and digests fit.
#[test]
fn records_that_lead_out_of_the_store_are_refused() {
    let (here, _, keys) = filled();
    let honest = store(&here).lookup(keys[0]).unwrap().unwrap();
    let is_taken = |change: &dyn Fn(&mut crate::store::Record)| {
        let mut record = honest.clone();
        change(&mut record);
        crate::store::Record::of_stranger(record.to_text().as_bytes(), keys[0]).is_some()
    };
    assert!(is_taken(&|_| {}));
    for name in ["../../x", "/etc/x", "a//b", "a\\b", "a\0b", "", ".", "a/../b", &"a".repeat(256)] {
        assert!(!is_taken(&|record| record.outputs[0].name = name.to_owned()), "{name:?}");
    }
    assert!(!is_taken(&|record| record.outputs.clear()));
    assert!(!is_taken(&|record| record.outputs.reverse()));
    assert!(!is_taken(&|record| record.outputs[1] = record.outputs[0].clone()));
    assert!(!is_taken(&|record| record.fields.version += 1));
    assert!(!is_taken(&|record| record.key = keys[1]));
    assert!(!is_taken(&|record| record.inputs.push(Digest::of(b"x"))));
}
