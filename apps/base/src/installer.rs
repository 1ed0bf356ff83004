//! Runs the pure installer: saves each state before its effects, performs them, and feeds back what came of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::{Journal, RealFs, failpoint};
use install::{Course, Effect, Event, Install, Moved, Now, PackageRef, Refused};
use model::{AttemptId, PackageKind};
use release::VerifiedPackage;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::base::Shared;
use crate::effects;
use crate::log::{Entry, Level};
use crate::plan_words;

/// The machine as it runs: with proofs.
pub type Machine = Install<VerifiedPackage>;
/// The machine with its plan.
pub type Walk = Course<VerifiedPackage>;
/// What happens to it.
pub type Happened = Event<VerifiedPackage>;

/// Events that wait at most.
const EVENTS_MAX: usize = 64;

type Answer = oneshot::Sender<Result<(), Refused>>;

enum Message {
    /// From outside an effect.
    Told(Happened, Option<Answer>),
    /// A plan is to be walked, its first step as this attempt.
    Plan(Vec<PackageRef>, AttemptId, Answer),
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
    course: watch::Sender<Arc<Walk>>,
    saying: Mutex<Saying>,
}

impl Installer {
    pub fn new(course: Walk) -> Self {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            course: watch::Sender::new(Arc::new(course)),
            saying: Mutex::default(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> Arc<Machine> {
        Arc::new(self.course.borrow().install.clone())
    }

    /// Where it stands, with its plan.
    pub fn course(&self) -> Arc<Walk> {
        self.course.borrow().clone()
    }

    /// Hears where it stands.
    pub fn watch(&self) -> watch::Receiver<Arc<Walk>> {
        self.course.subscribe()
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
        self.send(Message::Told(event, Some(sender)), answer).await
    }

    /// Asks it to walk a plan; answers whether it does, when that is written down.
    pub async fn ask_plan(&self, steps: Vec<PackageRef>, first: AttemptId) -> Result<(), Refused> {
        let (sender, answer) = oneshot::channel();
        self.send(Message::Plan(steps, first, sender), answer).await
    }

    async fn send(
        &self,
        message: Message,
        answer: oneshot::Receiver<Result<(), Refused>>,
    ) -> Result<(), Refused> {
        // It ends only with the process.
        let _ = self.sender.send(message).await;
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
                Some(Message::Plan(steps, first, answer)) => {
                    // Whoever asked may have gone.
                    let _ = answer.send(run.plan(steps, first).await);
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
        let before = self.base.installer.course();
        let next = match before.on(restarted, &self.now()) {
            Ok(moved) => moved.next,
            Err(_) => (*before).clone(),
        };
        if !before.at_rest() {
            let words = format!("The base was restarted while {}", doing(&before.install));
            self.log(&next, Level::Warning, words);
        }
        if save || next != *before {
            self.save(&next).await;
        }
        let effects = next.install.resume();
        self.enter(Moved { next, effects });
        self.walk_on().await;
    }

    async fn on(&mut self, event: Happened) -> Result<(), Refused> {
        let before = self.base.installer.course();
        let moved = before.on(event, &self.now())?;
        if moved.next == *before {
            return Ok(());
        }
        self.save(&moved.next).await;
        self.enter(moved);
        self.walk_on().await;
        Ok(())
    }

    async fn plan(&mut self, steps: Vec<PackageRef>, first: AttemptId) -> Result<(), Refused> {
        let from = steps.first().and_then(|step| self.base.installed(step.kind));
        let moved = self.base.installer.course().begin(steps, first, from, &self.now())?;
        self.save(&moved.next).await;
        self.enter(moved);
        Ok(())
    }

    /// Goes on in the plan when a step has ended: begins the next one, or says how the plan ended.
    async fn walk_on(&mut self) {
        let before = self.base.installer.course();
        let from = before.next_step().and_then(|next| self.base.installed(next.kind));
        let Some(moved) = before.advance(attempt_id(), from, &self.now()) else { return };
        crash_point("plan-before-advance");
        self.save(&moved.next).await;
        crash_point("plan-after-advance");
        if moved.next.walks() {
            count_attempt(&self.base);
            self.enter(moved);
            return;
        }
        // The installer stays where it is, and so do the effects of its last state.
        self.base.installer.course.send_replace(Arc::new(moved.next.clone()));
        if let Some((level, text)) = moved.next.plan.as_ref().and_then(plan_words::ended) {
            self.log(&moved.next, level, text);
        }
    }

    fn now(&self) -> Now {
        Now { at: self.base.steady_now(), limits: self.base.config.limits.limits() }
    }

    /// Writes the state down; it is entered only when that worked.
    async fn save(&mut self, next: &Walk) {
        let name = next.install.name();
        crash_point(&format!("save-before-{name}"));
        let saved = next.saved();
        loop {
            match self.journal.append(&saved, host::now()) {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(%error, state = name, "State cannot be saved; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        crash_point(&format!("save-after-{name}"));
    }

    fn enter(&mut self, Moved { next, effects }: Moved<VerifiedPackage>) {
        self.entered += 1;
        if let Some(running) = self.effects.take() {
            running.abort();
        }
        // What was at rest when the base started was told by an earlier base.
        if self.entered > 1 || !next.install.at_rest() {
            let (level, text) = told(&next.install);
            let text = match (&next.install, &next.plan) {
                (Install::Planned { .. }, Some(plan)) => plan_words::step(plan) + &text,
                _ => text,
            };
            self.log(&next, level, text);
        }
        self.base.installer.say("", 0.0);
        self.base.installer.course.send_replace(Arc::new(next));
        if !effects.is_empty() {
            self.perform(effects);
        }
    }

    fn perform(&mut self, effects: Vec<Effect<VerifiedPackage>>) {
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

    fn log(&self, course: &Walk, level: Level, text: String) {
        self.base.log.add(entry(course, level, text));
    }
}

/// Notes how long sessions stood still while a version took over.
pub fn note_stall(base: &Shared, stall_ms: u64) {
    let text = format!("The longest that a session stood still was {stall_ms} ms.");
    let entry = entry(&base.installer.course(), Level::Info, text);
    base.log.add(Entry { stall_ms: Some(stall_ms), ..entry });
}

fn entry(course: &Walk, level: Level, text: String) -> Entry {
    let state = &course.install;
    Entry {
        n: 0,
        at: host::now(),
        attempt: state.attempt().map(|attempt| attempt.id),
        step: 0,
        subject: plan_words::subject(course),
        phase: state.name().to_owned(),
        level,
        text,
        stall_ms: None,
    }
}

/// In test builds, where the process may be killed. What would be an error here has nobody to go to.
fn crash_point(name: &str) {
    let _ = failpoint(name);
}

/// Counts an attempt that has begun.
pub fn count_attempt(base: &Shared) {
    if let Err(error) = base.ledger.change(install::Ledger::attempt_begun) {
        tracing::warn!(%error, "Attempt cannot be counted");
    }
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
        Install::Committed { .. } => format!("{package} stays; letting the other version go."),
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
