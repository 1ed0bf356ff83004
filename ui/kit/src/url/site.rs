//! Addresses of `/login`.

use model::{AgentId, ConsoleId, OperatorId, SessionId};

super::urls! {
    /// The sign-in form, or the first tab of who is signed in.
    Home = "/login";
    /// Takes the sign-in form; POST.
    SignIn = "/login/sign-in";
    /// Ends the sign-in; POST.
    SignOut = "/login/sign-out";
    /// Changes one's own password; GET shows the form, POST takes it.
    Password = "/login/password";
    /// One's own account.
    Account = "/login/account";
    /// Version and identity of the site.
    About = "/login/about";
    /// The list of operators.
    Users = "/login/users";
    /// Adds an operator; GET shows the form, POST takes it.
    UserAdd = "/login/users/add";
    /// Disables an operator; GET asks, POST does it.
    UserDisable(id: OperatorId) = "/login/users/{id}/disable";
    /// Enables an operator again; POST.
    UserEnable(id: OperatorId) = "/login/users/{id}/enable";
    /// Gives an operator a new first password; GET asks, POST does it.
    UserReset(id: OperatorId) = "/login/users/{id}/reset";
    /// The list of Jump Clients.
    Clients = "/login/clients";
    /// Makes an enrolment token; GET shows the form, POST makes it and shows the command once.
    ClientEnrol = "/login/clients/enrol";
    /// One Jump Client.
    Client(id: AgentId) = "/login/clients/{id}";
    /// Gives a Jump Client another name or group; GET shows the form, POST takes it.
    ClientEdit(id: AgentId) = "/login/clients/{id}/edit";
    /// Removes a Jump Client; GET asks, POST does it.
    ClientRemove(id: AgentId) = "/login/clients/{id}/remove";
    /// Enrolment tokens that still enrol.
    EnrolmentTokens = "/login/clients/tokens";
    /// Withdraws an enrolment token; GET asks, POST does it.
    EnrolmentTokenRevoke(id: String) = "/login/clients/tokens/{id}/revoke";
    /// Sessions, live and past.
    Sessions = "/login/sessions";
    /// Past sessions before that one.
    SessionsBefore(before: SessionId) = "/login/sessions" ? before;
    /// One session.
    Session(id: SessionId) = "/login/sessions/{id}";
    /// Ends a session; GET asks, POST does it.
    SessionEnd(id: SessionId) = "/login/sessions/{id}/end";
    /// The list of recordings.
    Recordings = "/login/recordings";
    /// Recordings of sessions before that one.
    RecordingsBefore(before: SessionId) = "/login/recordings" ? before;
    /// One recording as an asciicast file.
    Recording(id: SessionId) = "/login/recordings/{id}";
    /// Access consoles.
    Consoles = "/login/consoles";
    /// Withdraws a console; GET asks, POST does it.
    ConsoleRevoke(id: ConsoleId) = "/login/consoles/{id}/revoke";
    /// Bearer tokens of the API.
    ApiTokens = "/login/tokens";
    /// Makes one; GET shows the form, POST makes it and shows it once.
    ApiTokenAdd = "/login/tokens/add";
    /// Withdraws one; GET asks, POST does it.
    ApiTokenRevoke(id: String) = "/login/tokens/{id}/revoke";
    /// The audit log.
    Audit = "/login/audit";
    /// The audit log as a file.
    AuditFile = "/login/audit/file";
    /// The style sheet.
    Style = "/login/style.css";
    /// The script.
    Script = "/login/script.js";
}

/// An address with some fields behind it, as a form that is sent by `GET` writes it.
///
/// Fields that are empty are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct With<A>(pub A, pub Vec<(&'static str, String)>);

impl<A: std::fmt::Display> std::fmt::Display for With<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)?;
        let fields = self.1.iter().filter(|(_, value)| !value.is_empty());
        for (i, (name, value)) in fields.enumerate() {
            let sign = if i == 0 { '?' } else { '&' };
            write!(f, "{sign}{name}={}", super::Segment(value))?;
        }
        Ok(())
    }
}
