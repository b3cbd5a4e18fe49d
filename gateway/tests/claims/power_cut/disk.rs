//! A model of a disk that loses power: what was synced is there, and any part of the rest may be.

use std::collections::{BTreeMap, HashMap};

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::trace::{Action, Change, Step};

/// The number of bytes that a disk writes completely or not at all. SQLite relies on no larger unit.
const SECTOR: usize = 512;

/// The syncs that the disk honours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    All,
    /// It ignores syncs of `file`, whose content becomes durable only when the file `by` is synced.
    IgnoredFor {
        file: &'static str,
        by: &'static str,
    },
}

/// The content of each file, by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// File names, each with its index in [`Disk::files`].
type Names<'a> = BTreeMap<&'a str, usize>;

pub struct Disk<'a> {
    syncs: Syncs,
    files: Vec<File<'a>>,
    durable: Names<'a>,
    /// The names as a process sees them.
    live: Names<'a>,
    /// The names after each change since the last sync, and the time at which its call returned, Unix µs.
    pending: Vec<(Names<'a>, u64)>,
}

#[derive(Default)]
struct File<'a> {
    durable: Vec<u8>,
    /// Changes since the last sync, and the times at which their calls returned, Unix µs.
    pending: Vec<(&'a Change, u64)>,
}

impl<'a> Disk<'a> {
    pub fn new(syncs: Syncs) -> Self {
        Self {
            syncs,
            files: Vec::new(),
            durable: Names::new(),
            live: Names::new(),
            pending: Vec::new(),
        }
    }

    pub fn apply(&mut self, step: &'a Step) {
        match &step.action {
            Action::Synced { begun } => self.sync(&step.file, *begun),
            Action::Changed { change, done } => match change {
                Change::Unlink => {
                    self.live.remove(step.file.as_str());
                    self.pending.push((self.live.clone(), *done));
                }
                Change::Rename { to } => {
                    if let Some(file) = self.live.remove(step.file.as_str()) {
                        self.live.insert(to, file);
                    }
                    self.pending.push((self.live.clone(), *done));
                }
                Change::Write { .. } | Change::Truncate { .. } => {
                    let file = self.live.get(step.file.as_str()).copied();
                    let file = file.unwrap_or_else(|| self.create(&step.file, step.at));
                    self.files[file].pending.push((change, *done));
                }
            },
        }
    }

    /// Adds a file. Its first write shows that it exists; opening it is not traced.
    fn create(&mut self, name: &'a str, at: u64) -> usize {
        let file = self.files.len();
        self.files.push(File::default());
        self.live.insert(name, file);
        self.pending.push((self.live.clone(), at));
        file
    }

    fn sync(&mut self, synced: &str, begun: u64) {
        for (name, file) in &self.live {
            let obeyed = match self.syncs {
                Syncs::IgnoredFor { file, by } if *name == file => synced == by,
                _ => *name == synced,
            };
            if obeyed {
                self.files[*file].sync(begun);
            }
        }
        // File systems with a journal write names in order, so any sync makes the earlier names durable.
        let settled = self.pending.iter().rposition(|(_, done)| *done <= begun);
        for (names, _) in self.pending.drain(..settled.map_or(0, |last| last + 1)) {
            self.durable = names;
        }
    }

    /// The files as a process sees them, with every change.
    pub fn live(&self) -> Files {
        contents(&self.live, |file| {
            let mut content = self.files[file].durable.clone();
            for (change, _) in &self.files[file].pending {
                apply(&mut content, change, |_| true);
            }
            content
        })
    }

    /// The files after a power cut at this moment.
    pub fn after_cut(&self, random: &mut StdRng) -> Files {
        let reached = random.random_range(0..=self.pending.len());
        let names = match reached.checked_sub(1) {
            Some(last) => &self.pending[last].0,
            None => &self.durable,
        };
        contents(names, |file| self.files[file].survivors(random))
    }
}

fn contents(names: &Names<'_>, mut content: impl FnMut(usize) -> Vec<u8>) -> Files {
    names
        .iter()
        .map(|(name, file)| ((*name).to_owned(), content(*file)))
        .collect()
}

impl File<'_> {
    fn sync(&mut self, begun: u64) {
        let settled = self.pending.iter().rposition(|(_, done)| *done <= begun);
        for (change, _) in self.pending.drain(..settled.map_or(0, |last| last + 1)) {
            apply(&mut self.durable, change, |_| true);
        }
    }

    /// The content after a power cut. The operating system writes back its cache sector by sector, in any order and at any
    /// time, so each sector is as one of the changes since the last sync left it.
    fn survivors(&self, random: &mut StdRng) -> Vec<u8> {
        let count = self.pending.len();
        // Everything or nothing was written back or, most often, a part.
        let (all, none) = match random.random_range(0..8) {
            0 => (0.0, 1.0),
            1 => (1.0, 0.0),
            _ => {
                let all = random.random_range(0.0..1.0);
                (all, random.random_range(0.0..=1.0 - all))
            }
        };
        let draw = |random: &mut StdRng| match random.random_range(0.0..1.0) {
            fate if fate < all => count,
            fate if fate < all + none => 0,
            _ => random.random_range(0..=count),
        };
        let mut fates: HashMap<usize, usize> = HashMap::new();
        let mut content = self.durable.clone();
        let mut length = content.len();
        for (index, (change, _)) in self.pending.iter().enumerate() {
            let reached = match change {
                Change::Write { offset, bytes } => {
                    length = length.max(offset + bytes.len());
                    true
                }
                Change::Truncate { length: shorter } => {
                    let reached = draw(random) > index;
                    length = if reached { *shorter } else { length };
                    reached
                }
                Change::Unlink | Change::Rename { .. } => false,
            };
            if reached {
                apply(&mut content, change, |sector| {
                    *fates.entry(sector).or_insert_with(|| draw(random)) > index
                });
            }
        }
        // The length of a file may be written before its content, which is then zeros.
        if random.random_bool(0.5) {
            content.resize(content.len().max(length), 0);
        }
        content
    }
}

/// Applies a change to those of its sectors for which `reached` is true.
fn apply(content: &mut Vec<u8>, change: &Change, mut reached: impl FnMut(usize) -> bool) {
    match change {
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            let mut at = *offset;
            while at < end {
                let sector = at / SECTOR;
                let upto = end.min((sector + 1) * SECTOR);
                if reached(sector) {
                    content.resize(content.len().max(upto), 0);
                    content[at..upto].copy_from_slice(&bytes[at - offset..upto - offset]);
                }
                at = upto;
            }
        }
        Change::Truncate { length } => content.resize(*length, 0),
        // These change names, not contents.
        Change::Unlink | Change::Rename { .. } => {}
    }
}
