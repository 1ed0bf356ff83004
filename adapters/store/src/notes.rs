use model::{AgentId, ConsoleId, Release, SessionId, Timestamp};

use crate::store::Commit;
use crate::{Leg, NewLeg, Result, Store};

/// What happened to a session, a Jump Client or a console, to be written down soon.
///
/// Thousands come at once when a site takes over from another one or starts again. Each alone would be a
/// commit, and the last would wait for longer than anybody does; so they are written many at a time.
#[derive(Debug, Clone)]
pub enum Note {
    /// A Jump Client has a link to this generation, and runs that.
    AgentHere(AgentId, Release),
    /// A Jump Client's last link to this generation is gone.
    AgentGone(AgentId),
    /// An access console has a link to this generation.
    ConsoleHere(ConsoleId),
    /// Bytes of a session flow through this generation.
    SessionHere(SessionId),
    /// A leg attached to this generation.
    LegHere(NewLeg),
    /// A leg of this generation is gone.
    LegGone(SessionId, Leg),
}

impl Store {
    /// Writes notes down in their order, all or none.
    ///
    /// # Errors
    ///
    /// When one of them cannot be written; [`Error::is_passing`](crate::Error::is_passing) tells whether to try
    /// again.
    pub async fn write_down(&self, notes: &[(Note, Timestamp)]) -> Result<()> {
        let writing = self.write(Commit::Unsynced).await?;
        for (note, at) in notes {
            match note {
                Note::AgentHere(id, release) => {
                    self.agents().connect_in(&writing.txn, *id, release, *at).await?;
                }
                Note::AgentGone(id) => {
                    self.agents().disconnect_in(&writing.txn, *id, *at).await?;
                }
                Note::ConsoleHere(id) => self.consoles().seen_in(&writing.txn, *id, *at).await?,
                Note::SessionHere(id) => self.sessions().live_in(&writing.txn, *id).await?,
                Note::LegHere(new) => {
                    self.sessions().attach_in(&writing.txn, new.clone(), *at).await?;
                }
                Note::LegGone(id, leg) => {
                    self.sessions().detach_in(&writing.txn, *id, *leg, *at).await?;
                }
            }
        }
        writing.commit().await
    }
}
