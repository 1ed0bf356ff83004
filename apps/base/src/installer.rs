//! Runs the pure installer: saves each state before its effects, performs them, and feeds back what came of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::{Journal, RealFs, failpoint};
use install::{Effect, Event, Install, Now, Refused, Transition};
use model::{AttemptId, PackageKind};
use release::VerifiedPackage;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::base::Shared;
use crate::effects;
use crate::log::{Entry, Level};

/// The machine as it runs: with proofs.
pub type Machine = Install<VerifiedPackage>;
/// What happens to it.
pub type Happened = Event<VerifiedPackage>;

/// Events that wait at most.
const EVENTS_MAX: usize = 64;

enum Message {
    /// From outside an effect.
    Told(Happened, Option<oneshot::Sender<Result<(), Refused>>>),
    /// From the effects of the state that was entered as the n-th.
    Came(u64, Happened),
}

/// What effects say about how far they are.
#[derive(Debug, Clone, Default)]
pub struct Saying {
    /// What is being done; empty: what the state says.
    pub text: String,
    /// How far the effect is, 0 to 1.
    pub fraction: f64,
}

/// The handle of the installer.
pub struct Installer {
    sender: mpsc::Sender<Message>,
    receiver: Mutex<Option<mpsc::Receiver<Message>>>,
    state: watch::Sender<Arc<Machine>>,
    saying: Mutex<Saying>,
}

impl Installer {
    pub fn new(machine: Machine) -> Self {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            state: watch::Sender::new(Arc::new(machine)),
            saying: Mutex::default(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> Arc<Machine> {
        self.state.borrow().clone()
    }

    /// The kind of package that the attempt is about.
    pub fn kind(&self) -> Option<PackageKind> {
        self.state().package().map(|package| package.kind)
    }

    /// Tells it what happened; it may not matter.
    pub fn tell(&self, event: Happened) {
        // It takes them faster than anybody can make them; what is told this way is told again.
        if self.sender.try_send(Message::Told(event, None)).is_err() {
            tracing::warn!("Installer is too busy to hear an event");
        }
    }

    /// Asks it to begin or to end something; answers whether it does, when that is written down.
    pub async fn ask(&self, event: Happened) -> Result<(), Refused> {
        let (sender, answer) = oneshot::channel();
        // It ends only with the process.
        let _ = self.sender.send(Message::Told(event, Some(sender))).await;
        answer.await.unwrap_or(Err(Refused { state: "stopping" }))
    }

    /// Says how far an effect is.
    pub fn say(&self, text: impl Into<String>, fraction: f64) {
        let mut saying = self.saying.lock().unwrap_or_else(PoisonError::into_inner);
        *saying = Saying { text: text.into(), fraction };
    }

    /// What effects said last.
    pub fn saying(&self) -> Saying {
        self.saying.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs the installer for as long as the base does.
///
/// Without a journal, which is damaged then, nothing is installed.
pub async fn run(base: Shared, journal: Option<Journal<RealFs>>, restarted: Happened, save: bool) {
    let receiver = base.installer.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (Some(mut receiver), Some(journal)) = (receiver, journal) else {
        std::future::pending::<()>().await;
        return;
    };
    let mut run = Run { base, journal, entered: 0, effects: None };
    run.begin(restarted, save).await;
    loop {
        let tick = run.tick();
        tokio::select! {
            message = receiver.recv() => match message {
                None => return,
                Some(Message::Told(event, answer)) => {
                    let result = run.on(event).await;
                    if let Some(answer) = answer {
                        // Whoever asked may have gone.
                        let _ = answer.send(result);
                    }
                }
                Some(Message::Came(entered, event)) if entered == run.entered => {
                    if let Err(refused) = run.on(event).await {
                        tracing::debug!(%refused, "Event left out");
                    }
                }
                Some(Message::Came(..)) => {}
            },
            () = tick => drop(run.on(Event::Tick).await),
        }
    }
}

struct Run {
    base: Shared,
    journal: Journal<RealFs>,
    /// Counts the states entered, so that what comes from effects of an earlier one is left out.
    entered: u64,
    effects: Option<JoinHandle<()>>,
}

impl Run {
    fn tick(&self) -> impl Future<Output = ()> + use<> {
        let deadline = self.base.installer.state().deadline();
        let left = deadline.map(|deadline| deadline.since(self.base.steady_now()));
        async move {
            match left {
                Some(left) => tokio::time::sleep(left + Duration::from_millis(5)).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Takes up what an earlier base left.
    async fn begin(&mut self, restarted: Happened, save: bool) {
        let before = self.base.installer.state();
        self.report_again(before.attempt().map(|attempt| attempt.id));
        let now = self.now();
        let next = match before.on(restarted, &now) {
            Ok(transition) => transition.next,
            Err(_) => (*before).clone(),
        };
        if !before.at_rest() {
            self.log(
                &next,
                Level::Warning,
                format!("The base was restarted while {}", doing(&before)),
            );
        }
        if save || next != *before {
            self.save(&next).await;
        }
        let Transition { next, effects } = next.enter();
        self.enter(next, effects);
    }

    /// What an earlier base wrote down it may not have told the update server.
    fn report_again(&self, attempt: Option<AttemptId>) {
        let entries = self.base.log.after(0).into_iter();
        let of_attempt = entries.filter(|entry| attempt.is_some() && entry.attempt == attempt);
        for (step, entry) in (1..).zip(of_attempt) {
            self.base.reports.add(step, entry);
        }
    }

    async fn on(&mut self, event: Happened) -> Result<(), Refused> {
        let before = self.base.installer.state();
        let transition = before.on(event, &self.now())?;
        if transition.next == *before {
            return Ok(());
        }
        self.save(&transition.next).await;
        self.enter(transition.next, transition.effects);
        Ok(())
    }

    fn now(&self) -> Now {
        Now { at: self.base.steady_now(), limits: self.base.config.limits.limits() }
    }

    /// Writes the state down; it is entered only when that worked.
    async fn save(&mut self, next: &Machine) {
        crash_point(&format!("save-before-{}", next.name()));
        let saved = next.saved();
        loop {
            match self.journal.append(&saved, host::now()) {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(%error, state = next.name(), "State cannot be saved; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        crash_point(&format!("save-after-{}", next.name()));
    }

    fn enter(&mut self, next: Machine, effects: Vec<Effect<VerifiedPackage>>) {
        self.entered += 1;
        if let Some(running) = self.effects.take() {
            running.abort();
        }
        // What was at rest when the base started was told by an earlier base.
        if self.entered > 1 || !next.at_rest() {
            let (level, text) = told(&next);
            self.log(&next, level, text);
        }
        self.base.installer.say("", 0.0);
        self.base.installer.state.send_replace(Arc::new(next));
        if effects.is_empty() {
            return;
        }
        let (base, entered) = (self.base.clone(), self.entered);
        self.effects = Some(tokio::spawn(async move {
            for effect in effects {
                let name = effects::name(&effect);
                crash_point(&format!("effect-before-{name}"));
                let event = effects::perform(&base, effect).await;
                crash_point(&format!("effect-after-{name}"));
                let Some(event) = event else { continue };
                let ends = matches!(event, Event::Failed(_) | Event::RevertFailed(_));
                let _ = base.installer.sender.send(Message::Came(entered, event)).await;
                if ends {
                    return;
                }
            }
        }));
    }

    fn log(&self, state: &Machine, level: Level, text: String) {
        let subject = state.package().map(|package| package.to_string()).unwrap_or_default();
        let attempt = state.attempt().map(|attempt| attempt.id);
        let entry = Entry {
            n: 0,
            at: host::now(),
            attempt,
            subject,
            phase: state.name().to_owned(),
            level,
            text,
        };
        let (step, entry) = self.base.log.add(entry);
        self.base.reports.add(step, entry);
    }
}

/// In test builds, where the process may be killed. What would be an error here has nobody to go to.
fn crash_point(name: &str) {
    let _ = failpoint(name);
}

/// The id of a new attempt.
pub fn attempt_id() -> AttemptId {
    AttemptId(uuid::Uuid::now_v7())
}

/// What happened, for the log.
fn told(state: &Machine) -> (Level, String) {
    let fault = |fault: &install::Fault| format!("{}. {}", fault.text, fault.remedy);
    match state {
        Install::Contracted { package, .. } => (Level::Info, format!("{package} is installed.")),
        Install::Abandoned { package, fault: why, .. } => {
            (Level::Error, format!("{package} is not installed: {}", fault(why)))
        }
        Install::RollingBack { package, fault: why, .. } => {
            (Level::Error, format!("Going back from {package}: {}", why.text))
        }
        Install::RolledBack { package, fault: why, attempt } => {
            let now = attempt.from.as_ref().map_or_else(
                || "Nothing was installed before.".to_owned(),
                |from| format!("{from} serves."),
            );
            (Level::Error, format!("{package} was put back: {} {now}", fault(why)))
        }
        Install::Rescue { reason, .. } => {
            (Level::Error, format!("Nothing healthy is left: {reason}"))
        }
        Install::Idle => (Level::Info, "The site serves again.".to_owned()),
        other => (Level::Info, doing(other)),
    }
}

/// What is being done in a state, in words.
pub fn doing(state: &Machine) -> String {
    let package = state.package().map(|package| package.to_string()).unwrap_or_default();
    match state {
        Install::Idle | Install::Rescue { .. } => "Nothing is under way.".to_owned(),
        Install::Planned { .. } => format!("Asking whether {package} may be installed."),
        Install::Fetching { .. } => format!("Downloading {package}."),
        Install::Verified { .. } => format!("{package} is verified; unpacking it."),
        Install::Staged { .. } => format!("{package} is unpacked; looking at the appliance."),
        Install::Preflight { .. } => {
            format!("The appliance can take {package}; expanding the database.")
        }
        Install::Expanded { .. } => format!("Starting {package} beside the version that serves."),
        Install::SwitchingOver { .. } => format!("{package} is proven; it takes over."),
        Install::Trial { .. } => format!("{package} serves; watching it."),
        Install::Committed { .. } => format!("{package} stays; letting the old version go."),
        Install::RollingBack { .. } => format!("Going back from {package}."),
        Install::Contracted { .. } | Install::Abandoned { .. } | Install::RolledBack { .. } => {
            told(state).1
        }
    }
}

/// How far a state is on the way, in percent, with how far its effect is.
pub fn percent(state: &Machine, fraction: f64) -> u8 {
    let (from, to) = match state {
        Install::Idle | Install::Rescue { .. } => (0, 0),
        Install::Planned { .. } => (1, 5),
        Install::Fetching { .. } => (5, 45),
        Install::Verified { .. } => (45, 55),
        Install::Staged { .. } => (55, 58),
        Install::Preflight { .. } => (58, 65),
        Install::Expanded { .. } => (65, 75),
        Install::SwitchingOver { .. } => (75, 80),
        Install::Trial { .. } => (80, 98),
        Install::Committed { .. } => (98, 99),
        Install::RollingBack { .. } => (50, 90),
        Install::Contracted { .. } | Install::Abandoned { .. } | Install::RolledBack { .. } => {
            (100, 100)
        }
    };
    from + (f64::from(to - from) * fraction.clamp(0.0, 1.0)) as u8
}
