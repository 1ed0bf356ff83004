use crate::layout::{Body, Frame, Page, Tab, Variant, Viewer};
use crate::{Csrf, Flash, url};

/// The tabs of one interface, as an enum.
pub trait Tabs: Copy + PartialEq + 'static {
    /// The interface.
    const VARIANT: Variant;
    /// Every tab, in the order in which they stand.
    const ALL: &'static [Self];
    /// The name of this tab.
    fn word(self) -> &'static str;
    /// Where it leads.
    fn href(self) -> String;

    /// Whether somebody who is no administrator sees it; that nobody gets there without leave is
    /// the handler's matter.
    fn is_for_everybody(self) -> bool {
        true
    }
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Name of the account.
    pub name: String,
    /// Whether this account administers; every account of `/appliance` does.
    pub admin: bool,
    /// Token for the form that signs out.
    pub csrf: Csrf,
}

/// What a handler knows about every page it answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// Name of the site, appliance or server.
    pub host: String,
    /// Who is signed in; `None` before signing in.
    pub who: Option<SignedIn>,
    /// What the last form did.
    pub flash: Option<Flash>,
}

impl Shell {
    /// A page that belongs to that tab, as an HTML document.
    pub fn page<T: Tabs>(&self, here: T, body: &impl Body) -> String {
        self.document(T::VARIANT, self.tabs(Some(here)), body)
    }

    /// A page beside the tabs, such as one's own account or an error.
    pub fn aside<T: Tabs>(&self, body: &impl Body) -> String {
        self.document(T::VARIANT, self.tabs::<T>(None), body)
    }

    /// A page without tabs: signing in, the forced change of a password, maintenance.
    pub fn alone(&self, variant: Variant, body: &impl Body) -> String {
        self.document(variant, Vec::new(), body)
    }

    fn tabs<T: Tabs>(&self, here: Option<T>) -> Vec<Tab> {
        let admin = self.who.as_ref().is_some_and(|who| who.admin);
        let shown = T::ALL.iter().filter(|tab| admin || tab.is_for_everybody());
        let tab =
            |each: &T| Tab { word: each.word(), href: each.href(), here: here == Some(*each) };
        shown.map(tab).collect()
    }

    fn document(&self, variant: Variant, tabs: Vec<Tab>, body: &impl Body) -> String {
        let viewer = self.who.as_ref().and_then(|who| viewer(variant, who));
        let flash = self.flash.clone();
        let frame = Frame { tabs, viewer, flash, ..Frame::bare(variant, &self.host) };
        Page::new(&frame, body).html()
    }
}

/// The update server's page has no accounts.
fn viewer(variant: Variant, who: &SignedIn) -> Option<Viewer> {
    let (sign_out, account) = match variant {
        Variant::Site => (url::site::SignOut.to_string(), url::site::Account.to_string()),
        Variant::Appliance => {
            (url::appliance::SignOut.to_string(), url::appliance::Password.to_string())
        }
        Variant::Update => return None,
    };
    Some(Viewer { name: who.name.clone(), csrf: who.csrf.clone(), sign_out, account })
}
