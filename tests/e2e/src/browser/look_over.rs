//! What a person would stumble over on a page, and its picture.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Browser;

/// The sizes at which every page is looked over: a desktop, and a telephone held upright.
const SIZES: [(u32, u32); 2] = [(1280, 900), (390, 844)];

/// What is narrower is a telephone: the page says itself how wide it wants to be, and scroll bars
/// take no room.
const TELEPHONE_BELOW: u32 = 600;

/// Runs in the page.
const LOOK_OVER: &str = include_str!("look_over.js");

/// Advice that Chromium gives now and then about a form that has such a field, when it looks before the page
/// is whole; the golden pages of `ui/kit` hold the field.
const SAID_IN_ERROR: &str = "Password forms should have (optionally hidden) username fields";

impl Browser {
    /// Looks the page over at every size, draws it where pictures are wanted, and fails with all that
    /// a person would stumble over.
    ///
    /// # Errors
    /// With the list.
    pub fn look_over(&self, name: &str) -> Result<()> {
        let mut faults: Vec<String> = Vec::new();
        for size in SIZES {
            self.resize(size)?;
            let found = self.driver.script(LOOK_OVER)?;
            let found = found.as_array().cloned().unwrap_or_default();
            let said = found.iter().filter_map(Value::as_str);
            faults.extend(said.map(|fault| format!("{} px wide: {fault}", size.0)));
            self.draw(name, size.0)?;
        }
        self.resize_to_desktop()?;
        faults.extend(self.complaints()?);
        ensure!(faults.is_empty(), "{name} ({}):\n{}", self.path()?, faults.join("\n"));
        Ok(())
    }

    fn draw(&self, name: &str, width: u32) -> Result<()> {
        let Some(folder) = &self.pictures else { return Ok(()) };
        std::fs::create_dir_all(folder)?;
        let number = self.drawn.get();
        self.drawn.set(number + 1);
        let picture = self.driver.devtools(
            "Page.captureScreenshot",
            &json!({ "format": "png", "captureBeyondViewport": true }),
        )?;
        let picture = picture["data"].as_str().context("no picture came")?;
        let file = folder.join(format!("{number:03}-{name}-{width}.png"));
        std::fs::write(&file, base64(picture)).with_context(|| file.display().to_string())
    }

    /// What the browser complained about since it was last asked: refused scripts and styles,
    /// failed requests. [`SAID_IN_ERROR`] is none.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let log = self.driver.post("/se/log", &json!({ "type": "browser" }))?;
        let entries = log.as_array().cloned().unwrap_or_default();
        let text = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        Ok(entries.iter().map(text).filter(|said| !said.contains(SAID_IN_ERROR)).collect())
    }

    /// Shows pages at the size of a desktop.
    pub(super) fn resize_to_desktop(&self) -> Result<()> {
        self.resize(SIZES[0])
    }

    fn resize(&self, (width, height): (u32, u32)) -> Result<()> {
        // Narrower than the narrowest window, so the page is told instead of the window.
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < TELEPHONE_BELOW
        });
        self.driver.devtools("Emulation.setDeviceMetricsOverride", &metrics).map(drop)
    }
}

/// Bytes from base64 as the driver writes it.
fn base64(text: &str) -> Vec<u8> {
    let value = |sign: u8| match sign {
        b'A'..=b'Z' => Some(sign - b'A'),
        b'a'..=b'z' => Some(sign - b'a' + 26),
        b'0'..=b'9' => Some(sign - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let signs: Vec<u8> = text.bytes().filter_map(value).collect();
    let mut bytes = Vec::with_capacity(signs.len() * 3 / 4);
    for four in signs.chunks(4) {
        let bits = four.iter().fold(0u32, |bits, sign| bits << 6 | u32::from(*sign));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_and_without_a_rest() {
        assert_eq!(base64("c2x1aXM="), b"sluis");
        assert_eq!(base64("c2x1aQ=="), b"slui");
        assert_eq!(base64("c2x1aXMu"), b"sluis.");
    }
}
