//! An inner store that says what it was asked, and answers when the test lets it.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::stream;
use registry_core::memory::MemoryCrateStore;
use tokio::sync::{mpsc, oneshot};

use super::*;

#[derive(Clone, Debug, Default)]
pub(super) struct Distant {
    pub(super) files: MemoryCrateStore,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    gets: Vec<Option<ByteRange>>,
    heads: usize,
    plans: VecDeque<Plan>,
    head_plans: VecDeque<Plan>,
}

/// What comes of a read; without one it goes well.
#[derive(Debug)]
pub(super) enum Plan {
    Fail,
    /// Answers what was so when it was asked, but only when it is told to.
    Hold(oneshot::Receiver<()>),
    /// Fails when it is told to.
    HoldAndFail(oneshot::Receiver<()>),
    /// The bytes are those that the test sends.
    Body(mpsc::UnboundedReceiver<Result<Bytes, StoreError>>),
}

pub(super) type Pieces = mpsc::UnboundedSender<Result<Bytes, StoreError>>;

impl Distant {
    pub(super) fn plan(&self, plan: Plan) {
        self.state().plans.push_back(plan);
    }

    pub(super) fn plan_head(&self, plan: Plan) {
        self.state().head_plans.push_back(plan);
    }

    pub(super) fn hold(&self) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        self.plan(Plan::Hold(held));
        release
    }

    pub(super) fn send_body(&self) -> Pieces {
        let (pieces, body) = mpsc::unbounded_channel();
        self.plan(Plan::Body(body));
        pieces
    }

    /// The reads since the last look.
    pub(super) fn gets(&self) -> Vec<Option<ByteRange>> {
        std::mem::take(&mut self.state().gets)
    }

    /// How often it was asked whether it has a file, since the last look.
    pub(super) fn heads(&self) -> usize {
        std::mem::take(&mut self.state().heads)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn failed() -> StoreError {
    StoreError::failed("distant", "not today")
}

#[async_trait]
impl CrateStore for Distant {
    async fn put(&self, key: &CrateKey, file: CrateBody) -> Result<(), StoreError> {
        self.files.put(key, file).await
    }

    async fn get(
        &self,
        key: &CrateKey,
        range: Option<ByteRange>,
    ) -> Result<Option<CrateFile>, StoreError> {
        let plan = {
            let mut state = self.state();
            state.gets.push(range);
            state.plans.pop_front()
        };
        let found = self.files.get(key, range).await;
        match plan {
            None => found,
            Some(Plan::Fail) => Err(failed()),
            Some(Plan::Hold(held)) => {
                held.await.unwrap();
                found
            }
            Some(Plan::HoldAndFail(held)) => {
                held.await.unwrap();
                Err(failed())
            }
            Some(Plan::Body(mut pieces)) => {
                let body = Box::pin(stream::poll_fn(move |cx| pieces.poll_recv(cx)));
                Ok(found?.map(|file| CrateFile { body, ..file }))
            }
        }
    }

    async fn head(&self, key: &CrateKey) -> Result<Option<StoredCrate>, StoreError> {
        let plan = {
            let mut state = self.state();
            state.heads += 1;
            state.head_plans.pop_front()
        };
        match plan {
            None => {}
            Some(Plan::Hold(held)) => held.await.unwrap(),
            Some(_) => return Err(failed()),
        }
        self.files.head(key).await
    }

    async fn location(&self, _: &CrateKey) -> Result<Option<String>, StoreError> {
        Ok(Some("https://example.com".into()))
    }

    fn list(&self) -> StoredCrates<'_> {
        self.files.list()
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.files.ready().await
    }
}

#[async_trait]
impl CrateUpkeep for Distant {
    async fn set_aside(&self, key: &CrateKey, reason: AsideReason) -> Result<(), StoreError> {
        self.files.set_aside(key, reason).await
    }

    fn list_aside(&self) -> AsideCrates<'_> {
        self.files.list_aside()
    }

    async fn open_aside(&self, entry: &AsideCrate) -> Result<Option<CrateFile>, StoreError> {
        self.files.open_aside(entry).await
    }

    async fn put_back(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.files.put_back(entry).await
    }

    async fn purge(&self, entry: &AsideCrate) -> Result<(), StoreError> {
        self.files.purge(entry).await
    }
}

/// Lets a future come as far as it can without waiting.
pub(super) fn begin<F: Future + Unpin>(future: &mut F) {
    let poll = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Pending), "nothing to wait for");
}
