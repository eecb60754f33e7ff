//! nginx's configuration as a tree, read from what `nginx -T` prints: every file, with `include` put in its place.

use std::path::{Path, PathBuf};

/// A directive: `name words;` or `name words { block }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// Its name.
    pub(super) name: String,
    /// What follows it.
    pub(super) words: Vec<String>,
    /// What stands in its braces; nothing when it has none.
    pub(super) block: Vec<Directive>,
}

/// The tree of a configuration. The error says what cannot be read.
pub(super) fn read(dump: &str) -> Result<Vec<Directive>, String> {
    let files = files(dump);
    let Some((main, text)) = files.first() else {
        return Err("there is no configuration in what nginx printed".to_owned());
    };
    let folder = main.parent().unwrap_or(Path::new("/")).to_path_buf();
    parse(&files, &folder, text, 0)
}

/// The files in the output of `nginx -T`, the main one first.
fn files(dump: &str) -> Vec<(PathBuf, String)> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for line in dump.lines() {
        match line.strip_prefix("# configuration file ").and_then(|rest| rest.strip_suffix(':')) {
            Some(path) => files.push((path.into(), String::new())),
            None => {
                if let Some((_, text)) = files.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    files
}

fn parse(files: &[(PathBuf, String)], folder: &Path, text: &str, depth: u32) -> Result<Vec<Directive>, String> {
    if depth > DEEPEST {
        return Err("the configuration includes itself".to_owned());
    }
    // Blocks that are open, each with the directive that opened it.
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut level: Vec<Directive> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for token in tokens(text)? {
        match token {
            Token::Word(word) => words.push(word),
            Token::End | Token::Open if words.is_empty() => return Err("a directive without a name".to_owned()),
            Token::End => {
                let name = words.remove(0);
                let words = std::mem::take(&mut words);
                match (name.as_str(), words.first()) {
                    ("include", Some(pattern)) => {
                        let pattern = folder.join(pattern).display().to_string();
                        for (path, text) in files {
                            if fits(pattern.as_bytes(), path.display().to_string().as_bytes()) {
                                level.extend(parse(files, folder, text, depth + 1)?);
                            }
                        }
                    }
                    _ => level.push(Directive { name, words, block: Vec::new() }),
                }
            }
            Token::Open => {
                let name = words.remove(0);
                let opened = Directive { name, words: std::mem::take(&mut words), block: Vec::new() };
                open.push((opened, std::mem::take(&mut level)));
            }
            Token::Close => {
                let Some((mut closed, around)) = open.pop() else { return Err("a brace too many".to_owned()) };
                closed.block = std::mem::replace(&mut level, around);
                level.push(closed);
            }
        }
    }
    if !open.is_empty() || !words.is_empty() {
        return Err("the configuration breaks off".to_owned());
    }
    Ok(level)
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            _ if character.is_whitespace() => {}
            '#' => while characters.next_if(|next| *next != '\n').is_some() {},
            ';' => tokens.push(Token::End),
            '{' => tokens.push(Token::Open),
            '}' => tokens.push(Token::Close),
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match characters.next() {
                        None => return Err("a quotation breaks off".to_owned()),
                        Some('\\') => word.extend(characters.next()),
                        Some(next) if next == character => break,
                        Some(next) => word.push(next),
                    }
                }
                tokens.push(Token::Word(word));
            }
            _ => {
                let mut word = String::from(character);
                // `${name}` is a variable, and its braces open nothing.
                let mut in_variable = false;
                while let Some(next) = characters.peek().copied() {
                    in_variable |= next == '{' && word.ends_with('$');
                    let ends = next.is_whitespace() || matches!(next, ';' | '{' | '}');
                    if ends && !in_variable {
                        break;
                    }
                    in_variable &= next != '}';
                    word.push(next);
                    characters.next();
                    if next == '\\' {
                        word.extend(characters.next());
                    }
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

/// Whether a path fits a pattern with `*` and `?`, neither of which reaches over a slash.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if fits(rest, path) => true,
        (Some((b'*', _)), Some((octet, left))) => *octet != b'/' && fits(pattern, left),
        (Some((b'?', rest)), Some((octet, left))) => *octet != b'/' && fits(rest, left),
        (Some((wanted, rest)), Some((octet, left))) => wanted == octet && fits(rest, left),
        _ => false,
    }
}

/// More files than that inside each other are none that somebody wrote.
const DEEPEST: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_read_with_includes_in_their_places() {
        let dump = "# configuration file /etc/nginx/nginx.conf:\nhttp { # comment };\n  include conf.d/*.conf;\n}\n\n\
                    # configuration file /etc/nginx/conf.d/a.conf:\nserver { listen 443 ssl; return 200 \"a; {b}\"; }\n\
                    # configuration file /etc/nginx/other/b.conf:\nserver { }\n";
        let tree = read(dump).expect("read");
        assert_eq!(tree.len(), 1);
        let servers = &tree[0].block;
        assert_eq!(servers.len(), 1, "{servers:?}");
        assert_eq!(servers[0].block[0].words, ["443", "ssl"]);
        assert_eq!(servers[0].block[1].words, ["200", "a; {b}"]);
    }

    #[test]
    fn variables_and_escapes_open_no_block() {
        let dump = "# configuration file /n:\nset $a ${b}c; rewrite ^/(\\d\\;)$ /x;\n";
        let tree = read(dump).expect("read");
        assert_eq!(tree[0].words, ["$a", "${b}c"]);
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn what_breaks_off_is_refused() {
        for text in ["http {", "}", "a", "\"", ";", "include n;"] {
            let dump = format!("# configuration file /n:\n{text}\n");
            assert!(read(&dump).is_err(), "{text}");
        }
        assert!(read("").is_err());
    }
}
