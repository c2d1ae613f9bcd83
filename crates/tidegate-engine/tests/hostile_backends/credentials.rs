//! Credentials that expire: sources that are slow, that fail, that give short-lived tokens; and backends that refuse what they got.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tidegate_engine::{
    Credentials,
    credentials::{Fetch, Issued, Renewed, Source},
};
use tidegate_wire::{
    ErrorClass,
    auth::{Credential, Secret},
};
use tokio::time::sleep;

use crate::support::{Backend, PATIENCE, World, await_end, read_request_text, say, whole};

/// What a source does when it is asked.
#[derive(Clone)]
enum Step {
    /// After a while, a token that is good for as long.
    Token(Duration, Duration),
    Fails,
    Hangs,
}

/// A source that follows a script, the last step of it for ever. Tokens are `token-1`, `token-2` ...
struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    asked: Arc<AtomicUsize>,
    /// Fetches that are under way.
    open: Arc<AtomicUsize>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Source for Scripted {
    fn name(&self) -> &str {
        "the script"
    }

    fn remedy(&self) -> &str {
        "write another"
    }

    fn fetch(&self) -> Fetch<'_> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(self.open.clone());
        let mut steps = self.steps.lock().unwrap();
        let step = if steps.len() > 1 { steps.pop_front() } else { steps.front().cloned() };
        Box::pin(async move {
            let _open = open;
            match step.unwrap() {
                Step::Token(after, lasts) => {
                    sleep(after).await;
                    let credential = Credential::Bearer(Secret::new(format!("token-{number}")));
                    Ok(Issued { credential, expires: Some(SystemTime::now() + lasts) })
                }
                Step::Fails => Err("the server is out to lunch".to_owned()),
                Step::Hangs => pending().await,
            }
        })
    }
}

struct Scene {
    renewed: Arc<Renewed>,
    asked: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Scene {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let (asked, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let steps = Mutex::new(steps.into_iter().collect());
        let source = Scripted { steps, asked: asked.clone(), open: open.clone() };
        Self { renewed: Arc::new(Renewed::new(source)), asked, open }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The token that calls get without waiting.
    fn ready(&self) -> Option<String> {
        self.renewed.ready().map(|credential| token(&credential))
    }

    async fn fresh(&self) -> String {
        token(&self.renewed.fresh("h").await.unwrap())
    }

    /// A backend that lets in only these tokens, and calls it with this credential.
    fn calling(&self, let_in: &'static [&'static str]) -> (Backend, World) {
        let backend = Backend::start(move |_, mut stream| {
            while let Some(request) = read_request_text(&mut stream) {
                let bearer = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
                if let_in.iter().any(|token| bearer == Some(token)) {
                    say(&mut stream, whole(bearer.unwrap()));
                } else {
                    say(&mut stream, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}");
                }
            }
            await_end(&mut stream);
        });
        let mut world = World::new(&backend);
        world.target.credentials = Credentials::Renewed(self.renewed.clone());
        (backend, world)
    }
}

fn token(credential: &Credential) -> String {
    match credential {
        Credential::Bearer(token) => token.expose().to_owned(),
        _ => String::new(),
    }
}

async fn eventually(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn nothing_is_fetched_before_a_call_asks_and_one_fetch_serves_all_that_wait() {
    let scene = Scene::new([Step::Token(A_WHILE, HOUR)]);
    assert_eq!((scene.ready(), scene.asked()), (None, 0));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let renewed = scene.renewed.clone();
        waiting.spawn(async move { token(&renewed.fresh("h").await.unwrap()) });
    }
    assert!(waiting.join_all().await.iter().all(|token| token == "token-1"));
    assert_eq!((scene.ready().unwrap(), scene.asked()), ("token-1".to_owned(), 1));
}

#[tokio::test]
async fn it_is_renewed_before_it_expires_and_no_call_waits_for_that() {
    let scene = Scene::new([Step::Token(A_WHILE, Duration::from_secs(2))]);
    let (_backend, world) = scene.calling(&["token-1", "token-2", "token-3", "token-4", "token-5"]);
    assert_eq!(world.call().await.unwrap(), b"token-1");
    let began = Instant::now();
    let mut seen = vec!["token-1".to_owned()];
    while began.elapsed() < Duration::from_millis(3500) {
        assert!(scene.ready().is_some(), "a call would have to wait after {:?}", began.elapsed());
        let answer = String::from_utf8(world.call().await.unwrap()).unwrap();
        if seen.last() != Some(&answer) {
            seen.push(answer);
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!((3..=5).contains(&seen.len()), "{seen:?}");
}

#[tokio::test]
async fn a_failed_renewal_keeps_the_old_one_until_it_expires_and_a_good_one_mends_it() {
    let scene = Scene::new([
        Step::Token(Duration::ZERO, Duration::from_millis(4500)),
        Step::Fails,
        Step::Token(A_WHILE, HOUR),
    ]);
    assert_eq!(scene.fresh().await, "token-1");
    eventually(|| scene.asked() >= 2).await;
    assert_eq!(scene.ready().as_deref(), Some("token-1"), "a failure takes nothing away");
    eventually(|| {
        assert!(scene.ready().is_some(), "good until the next was there");
        scene.ready().as_deref() == Some("token-3")
    })
    .await;
}

#[tokio::test]
async fn one_that_expired_while_its_source_failed_is_not_used_and_the_next_call_asks_again() {
    let lasts = Duration::from_millis(1500);
    let scene = Scene::new([
        Step::Token(Duration::ZERO, lasts),
        Step::Fails,
        Step::Fails,
        Step::Token(Duration::ZERO, HOUR),
    ]);
    assert_eq!(scene.fresh().await, "token-1");
    sleep(lasts + Duration::from_millis(700)).await;
    assert_eq!(scene.ready(), None);
    let began = Instant::now();
    let token = loop {
        match scene.renewed.fresh("h").await {
            Ok(credential) => break token(&credential),
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::UpstreamAuth);
                assert!(began.elapsed() < PATIENCE);
            }
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(
        (token.as_str(), scene.asked()),
        ("token-4", 4),
        "no more fetches than that, however often it is asked"
    );
}

#[tokio::test]
async fn p3_a_call_that_is_dropped_while_it_waits_ends_at_once_and_leaves_the_fetch_to_the_others() {
    let scene = Scene::new([Step::Token(A_WHILE * 3, HOUR)]);
    let (backend, world) = scene.calling(&["token-1"]);
    let given_up = tokio::time::timeout(A_WHILE, world.call()).await;
    assert!(given_up.is_err());
    assert_eq!((backend.connections(), scene.open.load(Ordering::Relaxed)), (0, 1));
    assert_eq!(world.call().await.unwrap(), b"token-1");
    assert_eq!(scene.asked(), 1);
}

#[tokio::test]
async fn the_wait_for_the_first_one_is_within_the_connect_deadline() {
    let scene = Scene::new([Step::Hangs]);
    let (backend, mut world) = scene.calling(&[]);
    world.target.clocks.connect = A_WHILE;
    let began = Instant::now();
    let error = world.call().await.unwrap_err();
    assert_eq!(error.code(), Some("timeout_connect"), "{error:?}");
    assert!(began.elapsed() < PATIENCE / 4);
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_failure_names_the_host_the_source_and_what_to_do() {
    let scene = Scene::new([Step::Fails]);
    let (backend, world) = scene.calling(&[]);
    let error = world.call().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::UpstreamAuth);
    let expected = "no credential for openai from the script: the server is out to lunch; write another";
    assert_eq!(error.message(), expected);
    for _ in 0..20 {
        assert_eq!(world.call().await.unwrap_err().message(), expected);
    }
    assert_eq!((scene.asked(), backend.connections()), (1, 0), "calls in quick succession ask once");
}

#[tokio::test]
async fn what_a_backend_refuses_is_given_up_but_not_at_every_call() {
    let scene = Scene::new([Step::Token(Duration::ZERO, HOUR)]);
    let (_backend, world) = scene.calling(&["token-2"]);
    assert_eq!(world.call().await.unwrap_err().class(), ErrorClass::UpstreamAuth);
    assert_eq!(world.call().await.unwrap(), b"token-2");

    let scene = Scene::new([Step::Token(Duration::ZERO, HOUR)]);
    let (_backend, world) = scene.calling(&[]);
    for _ in 0..20 {
        assert_eq!(world.call().await.unwrap_err().class(), ErrorClass::UpstreamAuth);
    }
    assert_eq!(scene.asked(), 2);
}

#[tokio::test]
async fn the_fetch_ends_with_the_last_target_that_could_use_it() {
    let scene = Scene::new([Step::Hangs]);
    let (_backend, world) = scene.calling(&[]);
    assert!(tokio::time::timeout(A_WHILE, world.call()).await.is_err());
    assert_eq!(scene.open.load(Ordering::Relaxed), 1);
    drop(world);
    let open = scene.open.clone();
    drop(scene);
    eventually(|| open.load(Ordering::Relaxed) == 0).await;
}

#[test]
fn a_fetch_whose_runtime_ends_is_begun_anew_on_another() {
    let scene = Scene::new([Step::Hangs, Step::Token(Duration::ZERO, HOUR)]);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let renewed = scene.renewed.clone();
    assert!(first.block_on(async { tokio::time::timeout(A_WHILE, renewed.fresh("h")).await }).is_err());
    let second = std::thread::spawn(move || {
        runtime().block_on(async {
            tokio::time::timeout(PATIENCE, renewed.fresh("h")).await.unwrap().map(|found| token(&found))
        })
    });
    std::thread::sleep(A_WHILE);
    assert_eq!(scene.asked(), 1, "it waits for the fetch of the first");
    drop(first);
    assert_eq!(second.join().unwrap().unwrap(), "token-2");
}

const A_WHILE: Duration = Duration::from_millis(150);
const HOUR: Duration = Duration::from_secs(3600);
