//! The table of layers in the documentation of `src/lib.rs`.

use std::collections::BTreeMap;

/// Which modules may import which.
pub struct Table(BTreeMap<String, Vec<String>>);

/// Layers that every module below them may import, whatever its brackets say.
const OPEN_LAYERS: usize = 2;

impl Table {
    /// Reads the rows after `| layer | modules |`.
    pub fn read(library: &str) -> Self {
        let rows = library.lines().skip_while(|line| *line != "//! | layer | modules |").skip(2);
        let rows: Vec<Vec<Entry>> = rows
            .map_while(|line| line.strip_prefix("//! | ")?.strip_suffix(" |")?.split_once(" | "))
            .map(|(_, modules)| modules.split(", `").map(Entry::read).collect())
            .collect();
        assert!(rows.len() > OPEN_LAYERS, "src/lib.rs has a table of layers");
        let mut allowed = BTreeMap::new();
        let (mut open, mut above) = (Vec::new(), Vec::new());
        for (place, row) in rows.into_iter().enumerate() {
            let modules: Vec<String> = row.iter().map(|entry| entry.module.clone()).collect();
            for Entry { module, only } in row {
                let imports = match only {
                    Some(only) => {
                        assert!(only.iter().all(|one| above.contains(one)), "{module} imports from below: {only:?}");
                        [open.clone(), only].concat()
                    }
                    None => above.clone(),
                };
                allowed.insert(module, imports);
            }
            above.extend(modules.iter().cloned());
            if place < OPEN_LAYERS {
                open.extend(modules);
            }
        }
        Self(allowed)
    }

    pub fn modules(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub fn allows(&self, module: &str, other: &str) -> bool {
        let allowed = self.0.get(module).unwrap_or_else(|| panic!("{module} is in the table of layers"));
        allowed.iter().any(|one| one == other)
    }
}

/// A module of a row, and the names in brackets after it.
struct Entry {
    module: String,
    only: Option<Vec<String>>,
}

impl Entry {
    /// Reads `` `module` `` or `` `module` (one, another) ``; the first backtick may be missing.
    fn read(text: &str) -> Self {
        let (module, rest) = text.trim_start_matches('`').split_once('`').expect("a module stands in backticks");
        let names = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let only = names.map(|names| names.split(", ").map(str::to_owned).collect());
        assert!(only.is_some() || rest.is_empty(), "{rest:?} after {module}");
        Self { module: module.to_owned(), only }
    }
}
