//! What an upstream says beside its answer while a call runs, told to the client of that call on the call's own stream,
//! whatever else is waited for meanwhile. Who reads slowly is told of the newest.

use std::convert::Infallible;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use upstream::Progress;

use super::stream::{Aside, Client};

/// Notices of an upstream that may wait to be looked at; they do not wait for the client.
const ROOM: usize = 16;

/// What is said beside one call, and to whom it is told.
pub(crate) struct Beside {
    aside: Aside,
    progress: broadcast::Receiver<Progress>,
    /// What waits for room.
    newest: Option<Progress>,
}

impl Beside {
    /// Of a call of this client, with where its upstream's progress goes; nowhere where it does not listen.
    pub(crate) fn of(client: &Client) -> (Option<broadcast::Sender<Progress>>, Self) {
        let (sink, progress) = broadcast::channel(ROOM);
        (client.listens().then_some(sink), Self { aside: client.aside(), progress, newest: None })
    }

    /// Tells all that comes; never returns.
    pub(crate) async fn tell(&mut self) -> Infallible {
        loop {
            tokio::select! {
                biased;
                room = self.aside.room(), if self.newest.is_some() => {
                    // There is none once nobody listens.
                    if let (Some(room), Some(newest)) = (room, self.newest.take()) {
                        room.progress(&newest);
                    }
                }
                told = self.progress.recv() => match told {
                    Ok(progress) => self.newest = Some(progress),
                    // The oldest are left out.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return std::future::pending().await,
                },
            }
        }
    }

    /// Tells what has come and was not told yet, as far as there is room.
    pub(crate) fn rest(mut self) {
        while let Some(progress) = self.newest.take().or_else(|| self.next()) {
            if let Some(room) = self.aside.room_now() {
                room.progress(&progress);
            }
        }
    }

    /// What has come already.
    fn next(&mut self) -> Option<Progress> {
        loop {
            match self.progress.try_recv() {
                Ok(progress) => return Some(progress),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}
