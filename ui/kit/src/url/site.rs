//! Addresses of `/login`.

use model::{AgentId, OperatorId, SessionId};

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
    /// Sessions, live and past.
    Sessions = "/login/sessions";
    /// Past sessions before that one.
    SessionsBefore(before: SessionId) = "/login/sessions" ? before;
    /// One session.
    Session(id: SessionId) = "/login/sessions/{id}";
    /// The list of recordings.
    Recordings = "/login/recordings";
    /// Recordings of sessions before that one.
    RecordingsBefore(before: SessionId) = "/login/recordings" ? before;
    /// One recording as an asciicast file.
    Recording(id: SessionId) = "/login/recordings/{id}";
    /// The style sheet.
    Style = "/login/style.css";
    /// The script.
    Script = "/login/script.js";
}
