//! Shared by the tests of all page crates: compares pages with `golden/` and looks for what makes
//! a page unusable. `GOLDEN=write cargo nextest run -p CRATE` writes the files anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Holds every page against its file below `folder`; files without a page are reported too.
pub fn check(folder: &Path, pages: &[(String, String)]) {
    let write = std::env::var_os("GOLDEN").is_some_and(|value| value == "write");
    let mut wrong = Vec::new();
    for (name, html) in pages {
        let html = &without_versions(html);
        for fault in faults(html) {
            wrong.push(format!("{name}: {fault}"));
        }
        let path = folder.join(format!("{name}.html"));
        if write {
            fs::create_dir_all(folder).expect("the golden folder");
            fs::write(&path, html).expect("a golden file");
        } else if fs::read_to_string(&path).ok().as_deref() != Some(html) {
            wrong.push(format!("{name} differs from {}", path.display()));
        }
    }
    let names: BTreeSet<_> = pages.iter().map(|(name, _)| format!("{name}.html")).collect();
    assert_eq!(names.len(), pages.len(), "two pages have one name");
    for entry in fs::read_dir(folder).expect("the golden folder") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if !names.contains(&file) {
            if write {
                fs::remove_file(folder.join(&file)).expect("a stale golden file");
            } else {
                wrong.push(format!("{file} has no page"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nlook at the difference; GOLDEN=write accepts it",
        wrong.join("\n")
    );
}

/// The page without the versions of its assets, so that a change of colour changes no file.
fn without_versions(html: &str) -> String {
    let mut pieces = html.split("?v=");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces
        .fold(first, |page, piece| page + piece.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

/// One tag as it stands in a page.
struct Tag<'a> {
    name: &'a str,
    text: &'a str,
    closes: bool,
}

impl<'a> Tag<'a> {
    fn attribute(&self, name: &str) -> Option<&'a str> {
        let start = self.text.find(&format!(" {name}=\""))? + name.len() + 3;
        self.text[start..].split('"').next()
    }
}

fn tags(html: &str) -> Vec<Tag<'_>> {
    html.split('<')
        .skip(1)
        .filter(|piece| !piece.starts_with('!'))
        .map(|piece| {
            let text = piece.split('>').next().unwrap_or(piece);
            let closes = text.starts_with('/');
            let name = text.trim_start_matches('/');
            let name = name.split([' ', '/', '\n']).next().unwrap_or(name);
            Tag { name, text, closes }
        })
        .collect()
}

/// What is wrong with a page: tags that do not match, labels and tokens that are missing.
pub fn faults(html: &str) -> Vec<String> {
    const VOID: [&str; 8] = ["meta", "link", "input", "br", "hr", "img", "path", "circle"];
    let tags = tags(html);
    let mut faults = Vec::new();
    let mut open = Vec::new();
    for tag in &tags {
        if VOID.contains(&tag.name) {
            continue;
        }
        if !tag.closes {
            open.push(tag.name);
        } else if open.pop() != Some(tag.name) {
            faults.push(format!("</{}> closes what is not open", tag.name));
            break;
        }
    }
    let mut ids = BTreeSet::new();
    for id in tags.iter().filter_map(|tag| tag.attribute("id")) {
        if !ids.insert(id) {
            faults.push(format!("the id {id} is there twice"));
        }
    }
    let labelled: BTreeSet<_> = tags.iter().filter_map(|tag| tag.attribute("for")).collect();
    for tag in &tags {
        let hidden = tag.attribute("type") == Some("hidden");
        let control =
            !tag.closes && ["input", "select", "textarea", "progress"].contains(&tag.name);
        if control && !hidden && !tag.attribute("id").is_some_and(|id| labelled.contains(id)) {
            faults.push(format!("<{}> has no label", tag.text));
        }
        for target in ["for", "aria-describedby", "aria-labelledby"] {
            for id in tag.attribute(target).unwrap_or_default().split(' ') {
                if !id.is_empty() && !ids.contains(id) {
                    faults.push(format!("{target} points to {id}, which is not there"));
                }
            }
        }
        if tag.text.contains(" on") && tag.text.contains("=\"java") {
            faults.push(format!("<{}> carries script", tag.text));
        }
        if tag.text.contains(" style=") {
            faults.push(format!("<{}> carries style, which the policy forbids", tag.text));
        }
    }
    for form in html.split("<form").skip(1) {
        let form = form.split("</form>").next().unwrap_or(form);
        if form.contains("method=\"post\"") && !form.contains("name=\"csrf\"") {
            faults.push(format!("a form has no token: {}", &form[..form.len().min(80)]));
        }
    }
    let headings = tags.iter().filter(|tag| tag.name == "h1" && !tag.closes).count();
    if headings != 1 {
        faults.push(format!("{headings} headings of the first level"));
    }
    if tags.iter().any(|tag| tag.name == "script" && !tag.closes && tag.attribute("src").is_none())
    {
        faults.push("a script stands in the page".to_owned());
    }
    faults
}
