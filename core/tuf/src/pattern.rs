//! Patterns of target names: `*`, `?`, `[abc]` and `[!abc]`, none of which crosses `/`.

/// Whether a target name matches; the specification's rule, segment by segment.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), name.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if segment(pattern, part) => {}
            _ => return false,
        }
    }
}

/// One thing that a segment of a pattern asks for.
enum Token {
    Star,
    Any,
    Is(char),
    OneOf { items: Vec<(char, char)>, wanted: bool },
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Is(own) => *own == c,
            Self::OneOf { items, wanted } => {
                items.iter().any(|(from, to)| (*from..=*to).contains(&c)) == *wanted
            }
        }
    }
}

/// Matches in time proportional to the product of the lengths, whatever the pattern.
fn segment(pattern: &str, part: &str) -> bool {
    let tokens = tokens(pattern);
    let part: Vec<char> = part.chars().collect();
    let (mut t, mut c) = (0, 0);
    // Where to go on when what follows the last star did not fit: the star takes one more.
    let mut retry: Option<(usize, usize)> = None;
    while c < part.len() {
        match tokens.get(t) {
            Some(Token::Star) => {
                retry = Some((t + 1, c));
                t += 1;
            }
            Some(token) if token.takes(part[c]) => {
                t += 1;
                c += 1;
            }
            _ => match &mut retry {
                Some((after_star, taken)) => {
                    *taken += 1;
                    (t, c) = (*after_star, *taken);
                }
                None => return false,
            },
        }
    }
    tokens[t..].iter().all(|token| matches!(token, Token::Star))
}

fn tokens(pattern: &str) -> Vec<Token> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::new();
    let mut rest = &chars[..];
    while let [first, after @ ..] = rest {
        rest = after;
        tokens.push(match first {
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => match set(after) {
                Some((token, after)) => {
                    rest = after;
                    token
                }
                None => Token::Is('['),
            },
            other => Token::Is(*other),
        });
    }
    tokens
}

/// Reads a set up to its `]`; one that never ends is an ordinary `[`.
fn set(chars: &[char]) -> Option<(Token, &[char])> {
    let (wanted, chars) = match chars {
        ['!', rest @ ..] => (false, rest),
        _ => (true, chars),
    };
    // A `]` in the first place belongs to the set.
    let end = 1 + chars.get(1..)?.iter().position(|c| *c == ']')?;
    let mut items = Vec::new();
    let mut rest = &chars[..end];
    while let [from, after @ ..] = rest {
        rest = after;
        let mut to = *from;
        if let ['-', last, after @ ..] = rest {
            to = *last;
            rest = after;
        }
        items.push((*from, to));
    }
    Some((Token::OneOf { items, wanted }, &chars[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_within_a_segment_only() {
        for (pattern, name) in [
            ("*", "a"),
            ("*", ".hidden"),
            ("base/*", "base/base-1.pkg"),
            ("*/*", "a/b"),
            ("a?c", "abc"),
            ("*.tgz", "foo.tgz"),
            ("foo-*-*.pkg", "foo-1-2-3.pkg"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[", "["),
            ("[ab", "[ab"),
            ("**", "abc"),
            ("é?", "éü"),
            ("", ""),
            ("a//b", "a//b"),
        ] {
            assert!(matches(pattern, name), "{pattern} should match {name}");
        }
        for (pattern, name) in [
            ("*", "a/b"),
            ("base/*", "base/x/y"),
            ("base/*", "base"),
            ("base*", "base/x"),
            ("a?c", "a/c"),
            ("a[/]c", "a/c"),
            ("foo", "Foo"),
            ("[!a-c]x", "ax"),
            ("[c-a]", "b"),
            ("a*b", "abc"),
            ("", "a"),
            ("/x", "x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn a_spiteful_pattern_takes_no_long_time() {
        let pattern = "*a".repeat(500);
        assert!(!matches(&pattern, &"a".repeat(499)));
        assert!(matches(&pattern, &"a".repeat(500)));
    }
}
