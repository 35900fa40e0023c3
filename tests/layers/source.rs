//! A Rust file as words and signs, without comments and texts: as much of the language as the rules need.

use std::path::Path;

/// A file's tokens: words, and each sign by itself.
pub struct Source {
    /// Of the module that the file is, from the crate's root.
    path: Vec<String>,
    tokens: Vec<String>,
}

impl Source {
    /// Reads a file by its path in `src`.
    pub fn read(path: &Path, text: &str) -> Self {
        let mut segments: Vec<String> =
            path.with_extension("").iter().map(|segment| segment.to_string_lossy().into_owned()).collect();
        if segments.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            segments.pop();
        }
        Self { path: segments, tokens: tokens(text) }
    }

    /// The module below the crate's root that the file belongs to; none for the root itself.
    pub fn top_module(&self) -> Option<String> {
        self.path.first().cloned()
    }

    /// The modules below the root that the file names, by `crate::` or by climbing up; `*` for all of them.
    pub fn imports(&self) -> Vec<String> {
        let mut imports = Vec::new();
        let mut inner_modules: Vec<usize> = Vec::new();
        let (mut braces, mut at) = (0, 0);
        while at < self.tokens.len() {
            match self.word(at) {
                "{" => {
                    braces += 1;
                    if at >= 2 && self.word(at - 2) == "mod" {
                        inner_modules.push(braces);
                    }
                }
                "}" => {
                    inner_modules.pop_if(|opened| *opened == braces);
                    braces -= 1;
                }
                "crate" | "super" if !self.follows_a_path(at) => {
                    let depth = self.path.len() + inner_modules.len();
                    at = self.tree(at, depth, &mut imports);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        imports.sort();
        imports.dedup();
        imports
    }

    /// Whether the program itself, without its tests, calls this method.
    pub fn program_calls(&self, method: &str) -> bool {
        if self.path.iter().any(|segment| segment == "tests") {
            return false;
        }
        let mut at = 0;
        while at < self.tokens.len() {
            if self.starts(at, &["#", "[", "cfg", "(", "test", ")", "]", "mod"]) {
                at = self.end_of_item(at);
            } else if self.starts(at, &[".", method, "("]) {
                return true;
            } else {
                at += 1;
            }
        }
        false
    }

    /// Whether `name!` or `#[name` is there.
    pub fn has_macro_or_attribute(&self, name: &str) -> bool {
        (0..self.tokens.len())
            .any(|at| self.starts(at, &["#", "[", name]) || self.starts(at, &[name, "!"]) && self.word(at + 2) != "=")
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map(String::as_str).unwrap_or_default()
    }

    fn starts(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(offset, word)| self.word(at + offset) == *word)
    }

    fn follows_a_path(&self, at: usize) -> bool {
        at >= 2 && self.word(at - 1) == ":" && self.word(at - 2) == ":"
    }

    /// Where the item ends that begins here: after its braces, or its semicolon.
    fn end_of_item(&self, mut at: usize) -> usize {
        let mut braces = 0;
        while at < self.tokens.len() {
            match self.word(at) {
                "{" => braces += 1,
                "}" => braces -= 1,
                _ => {}
            }
            let ends = matches!(self.word(at), "}" | ";") && braces == 0;
            at += 1;
            if ends {
                break;
            }
        }
        at
    }

    /// Reads the path, or tree of paths, that begins here, as seen from a module so many steps below the root (0 is the
    /// root itself), and returns where it ends.
    fn tree(&self, at: usize, depth: usize, imports: &mut Vec<String>) -> usize {
        match self.word(at) {
            "{" => {
                let mut at = at + 1;
                while at < self.tokens.len() && self.word(at) != "}" {
                    at = if self.word(at) == "," { at + 1 } else { self.tree(at, depth, imports) };
                }
                at + 1
            }
            "crate" if self.starts(at + 1, &[":", ":"]) => self.tree(at + 3, 0, imports),
            "super" if self.starts(at + 1, &[":", ":"]) => self.tree(at + 3, depth.saturating_sub(1), imports),
            name => {
                if depth == 0 && name != "crate" {
                    imports.push(name.to_owned());
                }
                self.end_of_branch(at + 1)
            }
        }
    }

    /// Passes over the rest of a path below a named module: it stays in there.
    fn end_of_branch(&self, mut at: usize) -> usize {
        while self.starts(at, &[":", ":"]) {
            at += 2;
            if self.word(at) == "{" {
                return self.end_of_item(at);
            }
            at += 1;
        }
        if self.word(at) == "as" { at + 2 } else { at }
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '"' => string(rest),
            'r' if is_raw_string(&rest[1..]) => raw_string(rest, 1),
            'b' if rest[1..].starts_with('r') && is_raw_string(&rest[2..]) => raw_string(rest, 2),
            '\'' => character_or_lifetime(rest),
            c if c.is_alphanumeric() || c == '_' => {
                let word = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
                tokens.push(word.to_owned());
                word.len()
            }
            c if c.is_whitespace() => c.len_utf8(),
            sign => {
                tokens.push(sign.to_string());
                sign.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

/// Block comments nest.
fn comment(rest: &str) -> usize {
    let (mut open, mut at) = (0, 0);
    loop {
        if rest[at..].starts_with("/*") {
            (open, at) = (open + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (open, at) = (open - 1, at + 2);
            if open == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().expect("a comment ends").len_utf8();
        }
    }
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest[1..].find(|c: char| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.expect("a text ends") + 2
}

fn is_raw_string(after_r: &str) -> bool {
    after_r.trim_start_matches('#').starts_with('"')
}

fn raw_string(rest: &str, prefix: usize) -> usize {
    let hashes = rest[prefix..].find('"').expect("a raw text begins");
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = prefix + hashes + 1;
    begin + rest[begin..].find(&end).expect("a raw text ends") + end.len()
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut characters = rest[1..].char_indices();
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let after = at + 1 + escaped.len_utf8();
            after + rest[after..].find('\'').expect("a character ends") + 1
        }
        (Some(_), Some((at, '\''))) => at + 2,
        // A lifetime: its name is a word like any other.
        _ => 1,
    }
}
