//! A browser: it keeps cookies and posts the forms that it was shown.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, header};

use super::fixture::{Answer, PASSWORD, Site, request};

pub struct Browser<'s> {
    pub site: &'s Site,
    pub cookies: BTreeMap<String, String>,
}

impl<'s> Browser<'s> {
    pub fn new(site: &'s Site) -> Self {
        Self { site, cookies: BTreeMap::new() }
    }

    /// One in which that account has signed in.
    pub async fn signed_in(site: &'s Site, name: &str) -> Self {
        let mut browser = Self::new(site);
        let answer = browser.sign_in(name, PASSWORD).await;
        assert_eq!(answer.header("location"), "/login", "{}", answer.text());
        browser
    }

    pub async fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        self.get("/login").await;
        self.fill("/login", "/login/sign-in", &[("name", name), ("password", password)]).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Follows the page after a form.
    pub async fn follow(&mut self, answer: &Answer) -> Answer {
        let mut path = answer.header("location").to_owned();
        for _ in 0..4 {
            let next = self.get(&path).await;
            if !next.status.is_redirection() {
                return next;
            }
            next.header("location").clone_into(&mut path);
        }
        panic!("redirected for ever");
    }

    /// Opens the page `at`, takes the token of its form, and posts it with these fields.
    pub async fn fill(&mut self, at: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get(at).await.text();
        let mut form = encode("csrf", &csrf(&page).unwrap_or_default());
        for (name, value) in fields {
            form.push('&');
            form.push_str(&encode(name, value));
        }
        self.post(action, &form).await
    }

    pub async fn post(&mut self, path: &str, form: &str) -> Answer {
        self.send(Method::POST, path, Some(form.to_owned())).await
    }

    async fn send(&mut self, method: Method, path: &str, form: Option<String>) -> Answer {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request(method, path).header(header::COOKIE, cookies.join("; "));
        if form.is_some() {
            let kind = "application/x-www-form-urlencoded";
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let body = form.map_or_else(Body::empty, Body::from);
        let answer = self.site.send(request.body(body).expect("a request")).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            self.keep(cookie.to_str().expect("text"));
        }
        answer
    }

    fn keep(&mut self, cookie: &str) {
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        assert!(attributes.starts_with("Path=/; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
        let (name, value) = pair.split_once('=').expect("a value");
        assert!(name.starts_with("__Host-"), "{cookie}");
        if cookie.ends_with("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// The token of the last form of a page: the first one signs out.
pub fn csrf(page: &str) -> Option<String> {
    let (_, rest) = page.rsplit_once("name=\"csrf\" value=\"")?;
    rest.split_once('"').map(|(token, _)| token.to_owned())
}

fn encode(name: &str, value: &str) -> String {
    use std::fmt::Write;
    value.bytes().fold(format!("{name}="), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}
