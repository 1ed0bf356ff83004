//! Addresses of the pages of the update server.

super::urls! {
    /// Releases and appliances.
    Home = "/";
    /// The style sheet.
    Style = "/pages/style.css";
    /// The script.
    Script = "/pages/script.js";
}
