//! Rust sources as far as paths go: which other modules a file names.
//!
//! A small lexer, not a parser: comments, strings and test modules are left out, groups in braces are opened, and macros are
//! read like any other text, which a parser would skip. What it does not follow are names brought in by a glob.

/// A path that a file names, in full from the crate's root: `["name", "dns", "DnsName"]` for `crate::name::dns::DnsName`.
pub(crate) type ModulePath = Vec<String>;

/// What a file says of modules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Every path from `crate` or `super`, from the crate's root on.
    pub(crate) paths: Vec<ModulePath>,
    /// Modules in files of their own that only tests have: `#[cfg(test)] mod tests;`.
    pub(crate) test_modules: Vec<String>,
    /// `use` declarations relative to the file's own module, as in `pub use dns::DnsName`.
    pub(crate) relative_uses: Vec<ModulePath>,
}

/// Reads the text of the module `own`, a path from the crate's root.
pub(crate) fn names(own: &[String], text: &str) -> Names {
    let tokens = lex(text);
    let mut reader = Reader { tokens: &tokens, at: 0, own: own.to_vec(), names: Names::default() };
    reader.module_body();
    reader.names
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Symbol(char),
}

/// Words, `::` and single symbols; comments, strings, characters and lifetimes fall away.
fn lex(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&current) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        at = match (current, next) {
            ('/', Some('/')) => end_of_line(&characters, at),
            ('/', Some('*')) => end_of_block_comment(&characters, at),
            ('"', _) => end_of_string(&characters, at),
            ('\'', _) => end_of_character_or_lifetime(&characters, at),
            (':', Some(':')) => {
                tokens.push(Token::PathSeparator);
                at + 2
            }
            _ if current.is_alphanumeric() || current == '_' => {
                let end = (at..characters.len())
                    .find(|&index| !(characters[index].is_alphanumeric() || characters[index] == '_'))
                    .unwrap_or(characters.len());
                let word: String = characters[at..end].iter().collect();
                match end_of_raw_string(&characters, &word, end) {
                    Some(end) => end,
                    None => {
                        tokens.push(Token::Word(word));
                        end
                    }
                }
            }
            _ => {
                if !current.is_whitespace() {
                    tokens.push(Token::Symbol(current));
                }
                at + 1
            }
        };
    }
    tokens
}

fn end_of_line(characters: &[char], start: usize) -> usize {
    (start..characters.len()).find(|&at| characters[at] == '\n').unwrap_or(characters.len())
}

/// Block comments nest.
fn end_of_block_comment(characters: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < characters.len() {
        match (characters[at], characters.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn end_of_string(characters: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&current) = characters.get(at) {
        match current {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

/// `'a'`, `'\''` and `'\u{41}'` are characters; `'a` is a lifetime, of which only the quote is skipped.
fn end_of_character_or_lifetime(characters: &[char], start: usize) -> usize {
    match (characters.get(start + 1), characters.get(start + 2)) {
        (Some('\\'), _) => {
            (start + 3..characters.len()).find(|&at| characters[at] == '\'').map_or(characters.len(), |at| at + 1)
        }
        (Some(_), Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// Where the string ends that `prefix` (`r`, `b`, `br`, `c`, `cr`) begins before `at`; `None` when it begins none.
fn end_of_raw_string(characters: &[char], prefix: &str, at: usize) -> Option<usize> {
    let hashes = characters.get(at..)?.iter().take_while(|&&character| character == '#').count();
    if characters.get(at + hashes) != Some(&'"') {
        return None;
    }
    match prefix {
        "r" | "br" | "cr" => {
            let closes = |index: usize| {
                characters[index] == '"' && (1..=hashes).all(|offset| characters.get(index + offset) == Some(&'#'))
            };
            let quote = (at + hashes + 1..characters.len()).find(|&index| closes(index));
            Some(quote.map_or(characters.len(), |index| index + hashes + 1))
        }
        "b" | "c" if hashes == 0 => Some(end_of_string(characters, at)),
        _ => None,
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The module that is being read, inline ones included.
    own: ModulePath,
    names: Names,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn symbol(&self, ahead: usize, symbol: char) -> bool {
        self.peek(ahead) == Some(&Token::Symbol(symbol))
    }

    /// Reads up to the brace that closes the module, or the end of the file.
    fn module_body(&mut self) {
        let mut depth = 0_usize;
        let mut only_tests = false;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Symbol('}') if depth == 0 => return,
                Token::Symbol('#') => {
                    only_tests |= self.attribute();
                    continue;
                }
                Token::Symbol('{') => depth += 1,
                Token::Symbol('}') => depth -= 1,
                Token::Word(word) if word == "mod" && self.word(1).is_some() => {
                    self.module(only_tests);
                    only_tests = false;
                    continue;
                }
                Token::Word(word) if word == "use" && only_tests => {
                    self.skip_to_semicolon();
                    only_tests = false;
                    continue;
                }
                Token::Word(word) if word == "use" => {
                    self.at += 1;
                    self.use_tree();
                    continue;
                }
                Token::Word(word)
                    if (word == "crate" || word == "super") && self.peek(1) == Some(&Token::PathSeparator) =>
                {
                    self.path();
                    continue;
                }
                _ => {}
            }
            // `pub`, `pub(crate)` may stand between an attribute and its item; anything else ends the attribute's reach.
            if !matches!(self.peek(0), Some(Token::Word(word)) if ["pub", "crate", "super", "in"].contains(&word.as_str()))
                && !self.symbol(0, '(')
                && !self.symbol(0, ')')
            {
                only_tests = false;
            }
            self.at += 1;
        }
    }

    /// Reads `#[…]` or `#![…]` and tells whether it is exactly `#[cfg(test)]`.
    fn attribute(&mut self) -> bool {
        let start = self.at;
        self.at += 1;
        if self.symbol(0, '!') {
            self.at += 1;
        }
        if !self.symbol(0, '[') {
            return false;
        }
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Symbol('[') => depth += 1,
                Token::Symbol(']') => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        let inside = &self.tokens[start..self.at];
        let word = |text: &str| Token::Word(text.to_owned());
        inside
            == [
                Token::Symbol('#'),
                Token::Symbol('['),
                word("cfg"),
                Token::Symbol('('),
                word("test"),
                Token::Symbol(')'),
                Token::Symbol(']'),
            ]
    }

    /// Reads `mod name;` or `mod name { … }`; the latter of tests is skipped.
    fn module(&mut self, only_tests: bool) {
        let name = self.word(1).unwrap_or_default().to_owned();
        self.at += 2;
        if self.symbol(0, ';') {
            self.at += 1;
            if only_tests {
                self.names.test_modules.push(name);
            }
            return;
        }
        if !self.symbol(0, '{') {
            return;
        }
        self.at += 1;
        let kept = only_tests.then_some((
            self.names.paths.len(),
            self.names.relative_uses.len(),
            self.names.test_modules.len(),
        ));
        self.own.push(name);
        self.module_body();
        self.own.pop();
        self.at += 1;
        if let Some((paths, relative, modules)) = kept {
            self.names.paths.truncate(paths);
            self.names.relative_uses.truncate(relative);
            self.names.test_modules.truncate(modules);
        }
    }

    fn skip_to_semicolon(&mut self) {
        while self.peek(0).is_some_and(|token| *token != Token::Symbol(';')) {
            self.at += 1;
        }
    }

    /// Reads what follows `use`, up to the semicolon.
    fn use_tree(&mut self) {
        match self.word(0) {
            Some("crate" | "super" | "self") => self.path(),
            Some(_) => {
                let start = self.names.paths.len();
                let own = self.own.clone();
                self.segments(own.clone(), own.len());
                let relative = self.names.paths.split_off(start);
                self.names.relative_uses.extend(relative.into_iter().map(|path| path[own.len()..].to_vec()));
            }
            None => {}
        }
        self.skip_to_semicolon();
    }

    /// Reads a path that begins with `crate`, `super` or `self`, groups in braces included.
    fn path(&mut self) {
        let mut base = match self.word(0) {
            Some("crate") => Vec::new(),
            Some("super") => self.own[..self.own.len().saturating_sub(1)].to_vec(),
            _ => self.own.clone(),
        };
        self.at += 1;
        while self.peek(0) == Some(&Token::PathSeparator) && self.word(1) == Some("super") {
            base.pop();
            self.at += 2;
        }
        if self.peek(0) == Some(&Token::PathSeparator) {
            self.at += 1;
            let floor = base.len();
            self.segments(base, floor);
        }
    }

    /// Reads `a::b::{c, d::*}` below `base` and records each leaf.
    fn segments(&mut self, base: ModulePath, floor: usize) {
        let mut path = base;
        loop {
            match self.peek(0) {
                Some(Token::Word(word)) => {
                    if word != "self" {
                        path.push(word.clone());
                    }
                    self.at += 1;
                }
                Some(Token::Symbol('{')) => {
                    self.group(&path, floor);
                    return;
                }
                Some(Token::Symbol('*')) => {
                    self.at += 1;
                    break;
                }
                _ => break,
            }
            if self.peek(0) != Some(&Token::PathSeparator) {
                break;
            }
            self.at += 1;
        }
        if path.len() > floor {
            self.names.paths.push(path);
        }
    }

    fn group(&mut self, base: &[String], floor: usize) {
        self.at += 1;
        while self.peek(0).is_some() && !self.symbol(0, '}') {
            let before = self.at;
            self.segments(base.to_vec(), floor);
            if self.word(0) == Some("as") {
                self.at += 2;
            }
            if self.symbol(0, ',') || self.at == before {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests;
