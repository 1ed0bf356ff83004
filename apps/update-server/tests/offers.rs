//! Enrolling, checking and reporting as an appliance does it.

mod common;

use std::time::Duration;

use common::{Appliance, Bench, base, card, license, now, public, sha256, site};
use release::offer::{CheckRequest, Nonce, Offer, OfferError, ReportReply, VersionFloor};
use release::plan::Status;
use reqwest::StatusCode;
use tuf::SigningKey;

#[tokio::test]
async fn a_code_enrols_one_appliance_once() {
    let mut bench = Bench::start();
    bench.good(&["customer", "add", "Harbour"]);
    let text = bench.good(&["appliance", "code", "--customer", "Harbour"]);
    assert!(text.starts_with(&format!("{}#", bench.url)), "{text}");

    let mut first = Appliance::new(10, &text);
    let reply = first.enrol(&bench).await.expect("a fresh code");
    assert_eq!(reply.customer, "Harbour");
    // The same appliance may ask again: its first answer may have been lost.
    bench.restart();
    assert_eq!(first.enrol(&bench).await.expect("the same answer").appliance, reply.appliance);

    let mut second = Appliance::new(11, &text);
    let (status, refusal) = second.enrol(&bench).await.expect_err("a used code");
    assert_eq!((status, refusal.code.as_str()), (StatusCode::FORBIDDEN, "code"));
    assert!(refusal.error.contains("a code works once"), "{}", refusal.error);
    assert_eq!(bench.list()["appliances"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_code_enrols_one_appliance_even_when_many_try_at_once() {
    let bench = Bench::start();
    bench.good(&["customer", "add", "Harbour"]);
    let text = bench.good(&["appliance", "code", "--customer", "Harbour"]);
    let mut appliances: Vec<_> = (0..8).map(|seed| Appliance::new(seed, &text)).collect();
    let tries = appliances.iter_mut().map(|appliance| appliance.enrol(&bench));
    let mut good = 0;
    for done in futures(tries).await {
        good += usize::from(done.is_ok());
    }
    assert_eq!(good, 1);
    assert_eq!(bench.list()["appliances"].as_array().map(Vec::len), Some(1));
}

/// All of them at once.
async fn futures<F: Future>(tries: impl Iterator<Item = F>) -> Vec<F::Output> {
    use std::task::Poll;
    let mut open: Vec<_> = tries.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|cx| {
        for (one, done) in &mut open {
            if done.is_none()
                && let Poll::Ready(output) = one.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if open.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    open.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn codes_end_and_may_be_bound_to_a_hostname() {
    let bench = Bench::start();
    assert!(bench.bad(&["appliance", "code", "--customer", "Nobody"]).contains("customer add"));
    bench.good(&["customer", "add", "Harbour"]);
    let mut over = Appliance::new(
        10,
        &bench.good(&["appliance", "code", "--customer", "Harbour", "--valid", "0s"]),
    );
    let (_, refusal) = over.enrol(&bench).await.expect_err("an ended code");
    assert!(refusal.error.contains("ended on"), "{}", refusal.error);

    let bound = ["appliance", "code", "--customer", "Harbour", "--hostname", "other.example.com"];
    let mut wrong = Appliance::new(10, &bench.good(&bound));
    let (_, refusal) = wrong.enrol(&bench).await.expect_err("another hostname");
    assert!(refusal.error.contains("other.example.com"), "{}", refusal.error);
    wrong.hostname = "other.example.com".parse().expect("a hostname");
    wrong.enrol(&bench).await.expect("the right hostname");

    let mut guess =
        Appliance::new(12, &format!("{}#AAAA-AAAA.{}", bench.url, wrong.text.offer_key));
    let (_, refusal) = guess.enrol(&bench).await.expect_err("no such code");
    assert!(refusal.error.contains("not known"), "{}", refusal.error);
    // The key that is presented must be the one that signs.
    let text = bench.good(&["appliance", "code", "--customer", "Harbour"]);
    let appliance = Appliance::new(13, &text);
    let request = release::offer::EnrolRequest {
        code: appliance.text.code.clone(),
        public_key: public(&SigningKey::from_seed(&[14; 32]).expect("32 bytes")),
        hostname: appliance.hostname.clone(),
    };
    let (status, _) =
        appliance.post(&bench, "/v1/enrol", &request, None).await.expect_err("another key");
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_check_lists_cards_with_all_that_a_person_decides_by() {
    // req: UPD-02
    let mut bench = Bench::start();
    bench.repository.publish(&[
        base("1.0.0 (rev 1)", &[]),
        site("1.0.0 (rev 1)", &[]),
        base("1.1.0 (rev 2)", &[]),
        site("1.1.0 (rev 2)", &["needs base >=1.1"]),
    ]);
    let appliance = Appliance::enrolled(&bench).await;
    let offer = appliance.check(&bench).await;
    let new = card(&offer, "base 1.1.0");
    assert_eq!(new.status, Status::Installable);
    assert_eq!(new.hostname.as_ref().map(release::Hostname::as_str), Some("access.example.com"));
    assert_eq!(new.licenses, Some(25));
    assert_eq!(new.expires.map(|at| at.to_string()).as_deref(), Some("2090-01-01T00:00:00Z"));
    assert_eq!(new.notes, "Notes of base 1.1.0 (rev 2).");
    assert_eq!(new.sha256, sha256(&base("1.1.0 (rev 2)", &[])));
    assert_eq!(card(&offer, "base 1.0.0").status, Status::Installed);
    // The file is there, under the name that TUF clients build.
    let path = format!("/tuf/targets/base/{}.base-1.1.0-r2-x86_64.pkg", new.sha256);
    let file = bench.get(&path, &[]).await.bytes().await.expect("the file");
    assert_eq!(file.len() as u64, new.size);
    assert_eq!(tuf::sha256_hex(&file), new.sha256.to_string());
    assert!(!bench.list()["appliances"][0]["last_check"].is_null());
    bench.restart();
    appliance.check(&bench).await;
}

#[tokio::test]
async fn the_path_has_several_hops_base_first() {
    // req: UPD-04
    // req: UPD-05
    let mut bench = Bench::start();
    bench.repository.publish(&[
        base("1.2.0 (rev 5)", &[]),
        base("1.3.0 (rev 7)", &["through 1.2"]),
        site("1.2.0 (rev 4)", &[]),
        site("1.3.0 (rev 7)", &["needs base >=1.3", "through 1.2"]),
    ]);
    let appliance = Appliance::enrolled(&bench).await;
    let offer = appliance.check(&bench).await;
    let steps: Vec<_> = offer.plan.iter().map(|step| step.target.as_str()).collect();
    assert_eq!(
        steps,
        [
            "base/base-1.2.0-r5-x86_64.pkg",
            "base/base-1.3.0-r7-x86_64.pkg",
            "site/site-1.2.0-r4-x86_64.pkg",
            "site/site-1.3.0-r7-x86_64.pkg"
        ]
    );
    let newest = card(&offer, "site 1.3.0");
    let blocked = newest.blocked.as_ref().expect("a reason");
    assert_eq!(newest.status, Status::Blocked);
    assert_eq!(blocked.by.as_deref(), Some("base/base-1.2.0-r5-x86_64.pkg"));
    assert!(blocked.text.ends_with(
        "Install these first, in this order: base 1.2.0 (rev 5), base 1.3.0 (rev 7), site 1.2.0 (rev 4)."
    ), "{}", blocked.text);
}

#[tokio::test]
async fn only_the_appliance_itself_gets_an_offer_and_each_request_counts_once() {
    // req: UPD-11
    let mut bench = Bench::start();
    bench.repository.publish(&[base("1.1.0 (rev 2)", &[])]);
    let appliance = Appliance::enrolled(&bench).await;

    let thief = SigningKey::from_seed(&[99; 32]).expect("32 bytes");
    let request = appliance.request();
    let (status, refusal) =
        appliance.post(&bench, "/v1/check", &request, Some(&thief)).await.expect_err("another key");
    assert_eq!((status, refusal.code.as_str()), (StatusCode::UNAUTHORIZED, "signature"));

    let first = appliance.send(&bench, &request).await.expect("an offer");
    let (status, refusal) = appliance.send(&bench, &request).await.expect_err("sent again");
    assert_eq!((status, refusal.code.as_str()), (StatusCode::CONFLICT, "nonce"));
    // What was overheard answers nothing else.
    let other = appliance.expected(Nonce([9; 16]), now());
    assert_eq!(Offer::verify(&first, &other), Err(OfferError::Stale("request")));

    let stranger = Appliance::new(50, &appliance.text.to_string());
    let (status, refusal) =
        stranger.send(&bench, &stranger.request()).await.expect_err("a stranger");
    assert_eq!((status, refusal.code.as_str()), (StatusCode::NOT_FOUND, "appliance"));
    bench.good(&["appliance", "remove", &appliance.id.to_string()]);
    let (status, _) = appliance.send(&bench, &appliance.request()).await.expect_err("forgotten");
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_clock_is_named_with_both_times_and_the_way_out() {
    let mut bench = Bench::start();
    bench.repository.publish(&[]);
    let appliance = Appliance::enrolled(&bench).await;
    let hour = Duration::from_hours(1);
    let early = model::Timestamp(now().0 - 3_600_000);
    for time in [early, now().plus(hour), model::Timestamp(0), model::Timestamp(u64::MAX)] {
        let request = CheckRequest { time, ..appliance.request() };
        let (status, refusal) = appliance.send(&bench, &request).await.expect_err("a wrong clock");
        assert_eq!((status, refusal.code.as_str()), (StatusCode::CONFLICT, "clock"));
        assert!(refusal.error.contains(&time.to_string()), "{}", refusal.error);
        assert!(refusal.error.contains(&refusal.server_time.to_string()), "{}", refusal.error);
        assert!(refusal.remedy.contains("Status > Basics"), "{}", refusal.remedy);
        assert!(refusal.remedy.contains("Networking > IP Configuration"), "{}", refusal.remedy);
    }
    let slow = model::Timestamp(now().0 - 60_000);
    let request = CheckRequest { time: slow, ..appliance.request() };
    appliance.send(&bench, &request).await.expect("a minute is nothing");
}

#[tokio::test]
async fn offers_follow_entitlements_holds_and_blocks() {
    let mut bench = Bench::start();
    bench.repository.publish(&[site("1.1.0 (rev 2)", &[]), site("1.2.0 (rev 3)", &[])]);
    let appliance = Appliance::enrolled(&bench).await;
    let why = async |label: &str| {
        let offer = appliance.check(&bench).await;
        let blocked = card(&offer, label).blocked.clone();
        blocked.map_or_else(String::new, |blocked| blocked.text)
    };
    assert_eq!(why("site 1.2.0").await, "");

    bench.good(&["block", "site/site-1.2.0-r3-x86_64.pkg", "--reason", "it fills the disk"]);
    assert!(why("site 1.2.0").await.ends_with("operator: it fills the disk."));
    assert_eq!(why("site 1.1.0").await, "", "the one before is offered");
    bench.good(&["unblock", "site/site-1.2.0-r3-x86_64.pkg"]);
    assert_eq!(why("site 1.2.0").await, "");

    let id = appliance.id.to_string();
    for scope in [vec!["--all"], vec!["--customer", "Harbour"], vec!["--appliance", &id]] {
        bench.good(&[vec!["hold", "--reason", "the data centre moves"], scope.clone()].concat());
        assert!(why("site 1.2.0").await.ends_with("operator: the data centre moves."), "{scope:?}");
        assert_eq!(appliance.check(&bench).await.plan, []);
        bench.good(&[vec!["unhold"], scope].concat());
    }
    assert_eq!(why("site 1.2.0").await, "");

    let mut set =
        vec!["entitlement", "set", "--customer", "Harbour", "--hostname", "access.example.com"];
    set.extend(["--expires", "2020-01-01"]);
    bench.good(&set);
    assert!(why("site 1.2.0").await.contains("ended on 2020-01-01T00:00:00Z"));

    // A site without entitlement, and one whose entitlement is another customer's.
    bench.good(&["customer", "add", "Other"]);
    let text = bench.good(&["appliance", "code", "--customer", "Other"]);
    let mut other = Appliance::new(20, &text);
    other.enrol(&bench).await.expect("a fresh code");
    let offer = other.check(&bench).await;
    let blocked = card(&offer, "site 1.2.0").blocked.clone().expect("not entitled");
    assert!(blocked.text.contains("Nothing entitles access.example.com"), "{}", blocked.text);
    assert_eq!(offer.licenses, None);
    set[3] = "Other";
    assert!(bench.bad(&set).contains("belongs to the customer “Harbour”"));
}

#[tokio::test]
async fn a_license_package_reaches_its_own_site_only() {
    // req: UPD-06
    let mut bench = Bench::start();
    bench
        .repository
        .publish(&[license("access.example.com", 40), license("other.example.com", 50)]);
    let appliance = Appliance::enrolled(&bench).await;
    let offer = appliance.check(&bench).await;
    assert_eq!(offer.packages.len(), 1);
    assert_eq!(offer.packages[0].licenses, Some(40));
    assert_eq!(offer.plan.len(), 1);
    assert_eq!(offer.plan[0].target, "license/license-1.0.0-r1-access.example.com.pkg");
}

#[tokio::test]
async fn what_failed_or_lies_below_a_floor_is_not_offered() {
    let mut bench = Bench::start();
    let (bad, low) = (site("1.2.0 (rev 3)", &[]), site("1.1.0 (rev 2)", &[]));
    bench.repository.publish(&[bad.clone(), low]);
    let appliance = Appliance::enrolled(&bench).await;
    let floor = VersionFloor { name: "site".into(), version: model::Version::new(1, 2, 0) };
    let request =
        CheckRequest { bad: vec![sha256(&bad)], floors: vec![floor], ..appliance.request() };
    let bytes = appliance.send(&bench, &request).await.expect("an offer");
    let offer = Offer::verify(&bytes, &appliance.expected(request.nonce, now())).expect("an offer");
    assert_eq!(offer.plan, []);
    let text = |label: &str| card(&offer, label).blocked.clone().expect("blocked").text;
    assert!(text("site 1.2.0").contains("failed on this appliance"));
    assert!(text("site 1.1.0").contains("below 1.2.0"));
}

#[tokio::test]
async fn a_new_release_is_seen_at_the_next_check_and_an_expired_repository_says_so() {
    // req: UPD-11
    let mut bench = Bench::start();
    let appliance = Appliance::enrolled(&bench).await;
    let (status, refusal) =
        appliance.send(&bench, &appliance.request()).await.expect_err("nothing is published yet");
    assert_eq!((status, refusal.code.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "repository"));

    bench.repository.publish(&[site("1.1.0 (rev 2)", &[])]);
    assert_eq!(appliance.check(&bench).await.plan.len(), 1);
    bench.repository.publish(&[site("1.1.0 (rev 2)", &[]), base("1.1.0 (rev 2)", &[])]);
    assert_eq!(appliance.check(&bench).await.plan.len(), 2);

    bench.repository.publish_until(&[site("1.1.0 (rev 2)", &[])], now());
    let (status, refusal) =
        appliance.send(&bench, &appliance.request()).await.expect_err("all of it expired");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.error.contains("expired"), "{}", refusal.error);
    assert!(refusal.remedy.contains("sluis-release timestamp"), "{}", refusal.remedy);
}

#[tokio::test]
async fn a_report_counts_once_however_often_it_is_sent() {
    let mut bench = Bench::start();
    let appliance = Appliance::enrolled(&bench).await;
    let report = async |step: u32, state: &str, bench: &Bench| {
        let request = appliance.report(step, state, "site 1.1.0 (rev 2) serves.");
        let bytes = appliance.post(bench, "/v1/report", &request, None).await.expect("a reply");
        serde_json::from_slice::<ReportReply>(&bytes).expect("JSON").recorded
    };
    assert!(report(1, "Fetching", &bench).await);
    assert!(report(2, "Committed", &bench).await);
    bench.restart();
    assert!(!report(2, "Committed", &bench).await);
    assert!(!report(2, "RolledBack", &bench).await, "the first word on a step stays");
    let last = &bench.list()["appliances"][0]["last_report"];
    assert_eq!(last["state"], "Committed");
    assert_eq!(last["text"], "site 1.1.0 (rev 2) serves.");

    // A long text is cut and not refused: the appliance would send it for ever.
    let long = appliance.report(3, "RollingBack", &"é".repeat(5000));
    appliance.post(&bench, "/v1/report", &long, None).await.expect("a reply");
    let last = &bench.list()["appliances"][0]["last_report"];
    assert_eq!(last["text"].as_str().map(str::len), Some(4096));
}
