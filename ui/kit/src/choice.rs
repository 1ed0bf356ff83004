use askama::Template;
use askama::filters::HtmlSafe;

/// One of a few things to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choosable {
    /// What the form posts.
    pub value: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// A sentence that says when to choose it.
    pub hint: &'static str,
}

/// A few things of which exactly one is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "choice.html")]
pub struct Choice {
    /// What the form posts it as; unique on its page.
    pub name: &'static str,
    /// What is asked.
    pub label: &'static str,
    /// The things.
    pub options: &'static [Choosable],
    /// The value of the one that is chosen at first.
    pub chosen: &'static str,
}

impl HtmlSafe for Choice {}

/// A box to tick; the form posts `on` for it, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "check.html")]
pub struct Check {
    /// What the form posts it as; unique on its page.
    pub name: &'static str,
    /// What ticking it means.
    pub label: &'static str,
    /// A sentence more; may be empty.
    pub hint: &'static str,
    /// Whether it is ticked at first.
    pub ticked: bool,
}

impl HtmlSafe for Check {}

/// Many things of which exactly one is chosen, as a list that opens.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "select.html")]
pub struct Select {
    /// What the form posts it as; unique on its page.
    pub name: &'static str,
    /// What is asked.
    pub label: &'static str,
    /// The things; their hints are not shown.
    pub options: &'static [Choosable],
    /// The value of the one that is chosen at first; none when it is no value of theirs.
    pub chosen: String,
}

impl HtmlSafe for Select {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_one_is_chosen_and_the_ticked_one_ticked() {
        const OPTIONS: &[Choosable] = &[
            Choosable { value: "a", label: "A", hint: "The first." },
            Choosable { value: "b", label: "B", hint: "" },
        ];
        let html =
            Choice { name: "mode", label: "Mode", options: OPTIONS, chosen: "b" }.to_string();
        assert!(html.contains("value=\"b\" checked") && !html.contains("value=\"a\" checked"));
        let select = Select { name: "s", label: "S", options: OPTIONS, chosen: "a".into() };
        assert!(select.to_string().contains("<option value=\"a\" selected>A</option>"));
        let check = |ticked| Check { name: "c", label: "C", hint: "", ticked }.to_string();
        assert!(check(true).contains("checked") && !check(false).contains("checked"));
    }
}
