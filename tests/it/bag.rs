//! An archive taken apart, changed, and sealed again as if nothing had happened: what a forger would do. The fuzzer has it too.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The files that say what is to come.
const HEAD: [&str; 4] = ["bagit.txt", "bag-info.txt", "tagmanifest-sha256.txt", "manifest-sha256.txt"];

/// All files of an archive but the manifests, by their paths in its folder.
#[derive(Clone)]
pub(crate) struct Bag {
    pub(crate) name: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Bag {
    /// Takes an archive apart.
    pub(crate) fn open(packed: &[u8]) -> Self {
        let tar = zstd::decode_all(packed).expect("an archive");
        let (mut name, mut files) = (String::new(), BTreeMap::new());
        for entry in tar::Archive::new(&tar[..]).entries().expect("a tar file") {
            let mut entry = entry.expect("an entry");
            let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
            let (folder, path) = path.split_once('/').expect("a folder");
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).expect("bytes");
            folder.clone_into(&mut name);
            if !HEAD.contains(&path) {
                files.insert(path.to_owned(), bytes);
            }
        }
        Self { name, files }
    }

    /// All files in their order, the manifests made anew.
    pub(crate) fn sealed(&self) -> Vec<(String, Vec<u8>)> {
        let line = |path: &str, bytes: &[u8]| format!("{:x}  {path}\n", Sha256::digest(bytes));
        let is_payload = |path: &str| path.starts_with("data/");
        let payload = || self.files.iter().filter(|(path, _)| is_payload(path));
        let bytes: usize = payload().map(|(_, bytes)| bytes.len()).sum();
        let info = format!(
            "Bag-Software-Agent: layerwise 0\nLayerwise-Archive-Format: 1\nPayload-Oxum: {bytes}.{}\n",
            payload().count()
        );
        let declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n".to_owned();
        let manifest: String = payload().map(|(path, bytes)| line(path, bytes)).collect();
        let mut tags: BTreeMap<&str, &[u8]> = BTreeMap::new();
        tags.extend([("bagit.txt", declaration.as_bytes()), ("bag-info.txt", info.as_bytes())]);
        tags.insert("manifest-sha256.txt", manifest.as_bytes());
        let beside = self.files.iter().filter(|(path, _)| !is_payload(path));
        tags.extend(beside.map(|(path, bytes)| (path.as_str(), &bytes[..])));
        let tags: String = tags.into_iter().map(|(path, bytes)| line(path, bytes)).collect();
        let head = HEAD.map(str::to_owned).into_iter().zip([declaration, info, tags, manifest]);
        let head = head.map(|(path, text)| (path, text.into_bytes()));
        head.chain(self.files.iter().map(|(path, bytes)| (path.clone(), bytes.clone()))).collect()
    }

    /// The archive, sealed again.
    pub(crate) fn pack(&self) -> Vec<u8> {
        zstd::encode_all(&tar_of(&self.name, &self.sealed())[..], 1).expect("memory")
    }
}

/// A tar file of these files; whatever their names are.
pub(crate) fn tar_of(folder: &str, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (path, bytes) in files {
        let path = format!("{folder}/{path}").into_bytes();
        if path.len() > 100 {
            add(&mut tar, b"././@LongLink", b'L', &[&path[..], b"\0"].concat());
        }
        add(&mut tar, &path[..path.len().min(100)], b'0', bytes);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn add(tar: &mut Vec<u8>, path: &[u8], ty: u8, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_entry_type(tar::EntryType::new(ty));
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
