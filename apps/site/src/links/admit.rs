use std::sync::Arc;

use link::LinkRequest;
use model::{Release, Revision, Version};
use session::{Refused, RefusedCode, Welcome};
use store::{Enrolment, Note, TokenHash};
use tokio::sync::oneshot;

use crate::clock::now;
use crate::hub::{Entry, Peer};
use crate::serve::Site;

type Admitted = Result<(Peer, Welcome), Refused>;

/// Lets an agent in that is enrolled, or that brings an enrolment token.
pub(super) async fn agent(site: &Arc<Site>, request: &LinkRequest) -> Admitted {
    if let Some(synthetic) = site.self_test_peer(&request.key) {
        return Ok((synthetic, welcome(None, "self-test")));
    }
    let release = release_of(request)?;
    let known = site.store.agents().by_key(&request.key).await.map_err(failed)?;
    let agent = match (known, &request.hello.token) {
        (Some(agent), _) => agent,
        (None, Some(token)) => enrol(site, request, token, release.clone()).await?,
        (None, None) => {
            let text = "this Jump Client is not enrolled here; make an enrolment token at /login > Jump Clients and run `sluis-agent enrol`";
            return Err(Refused::new(RefusedCode::NotEnrolled, text));
        }
    };
    if agent.uninstalled.is_some() {
        let text =
            format!("“{}” was uninstalled here; remove it at the site and enrol anew", agent.name);
        return Err(Refused::new(RefusedCode::NotEnrolled, text));
    }
    let welcome = welcome(Some(agent.id.as_bytes().to_vec()), &agent.name);
    Ok((Peer::Agent { id: agent.id, name: agent.name, release }, welcome))
}

async fn enrol(
    site: &Arc<Site>,
    request: &LinkRequest,
    token: &str,
    release: Release,
) -> Result<store::Agent, Refused> {
    let (os, arch) =
        request.hello.platform.split_once('-').unwrap_or((&request.hello.platform, ""));
    let enrolment = Enrolment {
        token: TokenHash::of(token),
        name: request.hello.name.clone(),
        key: request.key,
        os: os.to_owned(),
        arch: arch.to_owned(),
        release,
    };
    let agent = site.store.agents().enrol(enrolment, now()).await.map_err(|error| {
        if error.is_passing() {
            return failed(error);
        }
        Refused::new(RefusedCode::NotEnrolled, error.to_string())
    })?;
    tracing::info!(agent = %agent.id, name = agent.name, "Jump Client enrolled");
    Ok(agent)
}

/// Lets any console in; one that is not registered may only sign in.
pub(super) async fn console(site: &Arc<Site>, request: &LinkRequest) -> Admitted {
    if let Some(synthetic) = site.self_test_peer(&request.key) {
        return Ok((synthetic, welcome(None, "self-test")));
    }
    let known = site.store.consoles().by_key(&request.key).await.map_err(failed)?;
    let usable = known.filter(|console| console.usable(now()).is_ok());
    let Some(console) = usable else {
        let welcome = Welcome { id: None, name: String::new(), known: false };
        return Ok((Peer::Console { operator: None, key: request.key }, welcome));
    };
    let (notes, seen) = (site.broker.notes.clone(), console.id);
    // Beside the link's work: nobody waits for it.
    tokio::spawn(async move { notes.add(Note::ConsoleHere(seen)).await });
    let (id, name) = (console.operator.id, console.operator.name);
    let welcome = welcome(Some(console.id.as_bytes().to_vec()), &name);
    Ok((Peer::Console { operator: Some((id, name)), key: request.key }, welcome))
}

pub(super) fn unknown_role(role: u8) -> Refused {
    Refused::new(RefusedCode::Other, format!("this site does not know clients of kind {role}"))
}

fn welcome(id: Option<Vec<u8>>, name: &str) -> Welcome {
    Welcome { id, name: name.to_owned(), known: true }
}

fn release_of(request: &LinkRequest) -> Result<Release, Refused> {
    let software = &request.hello.software;
    let version = Version::parse(software).map_err(|_| {
        Refused::new(RefusedCode::Other, format!("“{software}” is not a version such as 1.4.2"))
    })?;
    Ok(Release { version, revision: Revision(request.hello.revision) })
}

fn failed(error: store::Error) -> Refused {
    tracing::error!(%error, "Client cannot be looked up");
    Refused::new(RefusedCode::Busy, "the site cannot look you up just now; it will be tried again")
}

/// Notes beside the link's work that an agent is there, and then that it is gone; in this order,
/// however short the link was. `left` says at its end whether it was the agent's only link here.
pub(super) async fn note_presence(
    site: Arc<Site>,
    entry: Arc<Entry>,
    left: oneshot::Receiver<bool>,
) {
    let Peer::Agent { id, release, .. } = &entry.peer else { return };
    if site.is_self_test(*id) {
        return;
    }
    let notes = &site.broker.notes;
    // Boxed: this waits for days, and a note is handed in within a moment.
    Box::pin(notes.add(Note::AgentHere(*id, release.clone()))).await;
    if left.await.unwrap_or(true) {
        Box::pin(notes.add(Note::AgentGone(*id))).await;
    }
}
