//! Addresses of `/appliance`.

use model::PackageKind;

super::urls! {
    /// The sign-in form, or the first tab of who is signed in.
    Home = "/appliance";
    /// Takes the sign-in form; POST.
    SignIn = "/appliance/sign-in";
    /// Ends the sign-in; POST.
    SignOut = "/appliance/sign-out";
    /// Changes one's own password; GET shows the form, POST takes it.
    Password = "/appliance/password";
    /// Status > Basics.
    Status = "/appliance/status";
    /// The list of accounts of this appliance.
    Users = "/appliance/users";
    /// Adds an account; GET shows the form, POST takes it.
    UserAdd = "/appliance/users/add";
    /// Removes an account; GET asks, POST does it.
    UserRemove(name: String) = "/appliance/users/{name}/remove";
    /// Gives an account a new first password; GET asks, POST does it.
    UserReset(name: String) = "/appliance/users/{name}/reset";
    /// Available updates, the plan, and what is installed.
    Updates = "/appliance/updates";
    /// Check for Updates; POST.
    Check = "/appliance/updates/check";
    /// Install This Update, with what it needs first; GET with `target` asks, POST with the field `target` does it.
    Install(target: String) = "/appliance/updates/install" ? target;
    /// Lets a version that was put back be offered again; POST with the field `target`.
    Retry = "/appliance/updates/retry";
    /// Installs the newest of everything; GET asks, POST does it.
    InstallAll = "/appliance/updates/install-all";
    /// Roll Back; GET with `kind` asks, POST with the field `kind` does it.
    RollBack(kind: PackageKind) = "/appliance/updates/rollback" ? kind;
    /// How far the install is that runs, or how the last one ended.
    Progress = "/appliance/updates/progress";
    /// The log of installs.
    Log = "/appliance/updates/log";
    /// The style sheet.
    Style = "/appliance/style.css";
    /// The script.
    Script = "/appliance/script.js";
}
