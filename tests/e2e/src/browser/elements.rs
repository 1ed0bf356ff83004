//! Finding what a person reads on a page, and clicking and typing there.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Browser, LOOK, PATIENCE};

/// The key that presses the button that has the focus, and sends the form of a field.
pub const ENTER: &str = "\u{e007}";

/// The key that moves the focus on.
pub const TAB: &str = "\u{e004}";

impl Browser {
    /// Types into the field with that label, instead of what stands there.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn fill(&self, label: &str, text: &str) -> Result<()> {
        let element = self.field(label)?;
        self.driver.post(&format!("/element/{element}/clear"), &json!({}))?;
        self.driver.post(&format!("/element/{element}/value"), &json!({ "text": text })).map(drop)
    }

    /// Clicks the field with that label: ticks a box, or chooses one of several.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn tick(&self, label: &str) -> Result<()> {
        let element = self.field(label)?;
        self.driver.post(&format!("/element/{element}/click"), &json!({})).map(drop)
    }

    /// Clicks the button or link that says exactly that, of several the first that is shown, and
    /// waits for the page that it leads to: words that both pages say would be found on the old one.
    ///
    /// # Errors
    /// When there is none after a while, or it leads nowhere.
    pub fn press(&self, words: &str) -> Result<()> {
        self.follow(&that_says(words))
    }

    /// Clicks the button or link of that name in the table row whose heading says `row`, and waits
    /// as [`Browser::press`] does.
    ///
    /// # Errors
    /// When there is none after a while, or it leads nowhere.
    pub fn press_in(&self, row: &str, words: &str) -> Result<()> {
        self.follow(&in_row(row, words))
    }

    /// Clicks a link that saves a file and leaves the page as it is.
    ///
    /// # Errors
    /// When there is none after a while.
    pub fn download(&self, words: &str) -> Result<()> {
        self.click(&that_says(words))
    }

    /// Clicks a link that saves a file, in the table row whose heading says `row`.
    ///
    /// # Errors
    /// When there is none after a while.
    pub fn download_in(&self, row: &str, words: &str) -> Result<()> {
        self.click(&in_row(row, words))
    }

    /// Sends keys to what has the focus, such as [`ENTER`].
    ///
    /// # Errors
    /// When nothing has it.
    pub fn keys(&self, keys: &str) -> Result<()> {
        let focused = element_id(&self.driver.get("/element/active")?)?;
        self.driver.post(&format!("/element/{focused}/value"), &json!({ "text": keys })).map(drop)
    }

    /// The element that has the focus, as `name` or as its words.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn focused(&self) -> Result<String> {
        let script = "const e = document.activeElement; return e.name || e.innerText || e.tagName";
        Ok(self.driver.script(script)?.as_str().unwrap_or_default().to_owned())
    }

    /// The text of the first element that a CSS selector names.
    ///
    /// # Errors
    /// When there is none after a while.
    pub fn text_of(&self, selector: &str) -> Result<String> {
        let element = self.locate("css selector", selector)?;
        let text = self.driver.get(&format!("/element/{element}/text"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn field(&self, label: &str) -> Result<String> {
        let label = quoted(label);
        self.find(&format!("//*[@id=//label[normalize-space(.)={label}]/@for]"))
    }

    /// Clicks what is found and waits until another page is there, whole.
    fn follow(&self, xpath: &str) -> Result<()> {
        self.driver.script("document.isOld = true")?;
        self.click(xpath)?;
        let deadline = Instant::now() + PATIENCE;
        let arrived = "return !document.isOld && document.readyState === 'complete'";
        // While a page is being replaced there may be none.
        while !self.driver.script(arrived).is_ok_and(|arrived| arrived == true) {
            if Instant::now() > deadline {
                bail!("{xpath} leads nowhere from {}:\n{}", self.path()?, self.text()?);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Clicks what is found; looks again when the page replaced it in between.
    fn click(&self, xpath: &str) -> Result<()> {
        loop {
            let element = self.find(xpath)?;
            match self.driver.post(&format!("/element/{element}/click"), &json!({})) {
                Err(error) if error.to_string().contains("stale element") => {}
                clicked => return clicked.map(drop),
            }
        }
    }

    fn find(&self, xpath: &str) -> Result<String> {
        self.locate("xpath", xpath)
    }

    /// The first element that is shown, waiting for it.
    fn locate(&self, using: &str, what: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let query = json!({ "using": using, "value": what });
            let found = self.driver.post("/elements", &query)?;
            for element in found.as_array().into_iter().flatten() {
                let id = element_id(element)?;
                let shown = self.driver.get(&format!("/element/{id}/displayed"));
                if shown.is_ok_and(|shown| shown == true) {
                    return Ok(id);
                }
            }
            if Instant::now() > deadline {
                bail!("{} shows no {what}:\n{}", self.path()?, self.text()?);
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn element_id(element: &Value) -> Result<String> {
    // The one key is a fixed word of the protocol.
    let id = element.as_object().and_then(|object| object.values().next());
    Ok(id.and_then(Value::as_str).context("that is no element")?.to_owned())
}

/// The XPath of the button or link that says exactly that.
fn that_says(words: &str) -> String {
    format!("//*[self::button or self::a][normalize-space(.)={}]", quoted(words))
}

/// The XPath of the button or link of that name in the table row whose heading says `row`.
fn in_row(row: &str, words: &str) -> String {
    let (row, words) = (quoted(row), quoted(words));
    format!(
        "//tr[th[contains(normalize-space(.),{row})]]\
         //*[self::button or self::a][starts-with(normalize-space(.),{words})]"
    )
}

/// Text as a string of XPath, which knows no escapes.
fn quoted(text: &str) -> String {
    if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_an_apostrophe_are_one_string() {
        assert_eq!(quoted("ada"), "'ada'");
        assert_eq!(quoted("it's"), "\"it's\"");
    }
}
