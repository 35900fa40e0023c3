use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::Instant,
};

use super::*;
use crate::{
    domain::Viewer,
    hub::{Hub, SessionHandle},
    telemetry::Metrics,
};

struct Scene {
    client: UnixStream,
    session: Arc<SessionHandle>,
    hub: Arc<Hub>,
}

/// A session that is being served, as it is when its greeting is written.
fn serve(framing: Framing) -> Scene {
    let metrics = Arc::<Metrics>::default();
    let hub = Arc::new(Hub::new(Arc::clone(&metrics)));
    let session = Arc::new(SessionHandle::new(Viewer::in_tests(1, ""), framing));
    let membership = Membership::new(Arc::clone(&session), Arc::clone(&hub), metrics);
    let (client, server) = UnixStream::pair().expect("a pair of sockets can be made");
    tokio::spawn(Box::new(EventStreamSession::new(membership)).run(Socket::Unix(server), 0));
    Scene { client, session, hub }
}

impl Scene {
    fn offer(&self, frame: Frame) {
        if self.session.outbox.offer(frame) == crate::hub::Offer::Due {
            self.session.outbox.write();
        }
    }

    /// What is said next, if it is this long.
    async fn said(&mut self, length: usize) -> String {
        let mut said = vec![0; length];
        self.client.read_exact(&mut said).await.expect("so much is said");
        String::from_utf8(said).expect("it is text")
    }

    /// Everything that is said to the end.
    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.client.read_to_string(&mut rest).await.expect("the end is no error");
        rest
    }

    /// Waits until the session's task has looked at everything, and is gone from the hub.
    async fn is_over(&self) {
        while self.hub.sessions() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_every_15_seconds_framed_as_the_stream_is() {
    for (framing, wanted) in [(Framing::Chunked, "8\r\n:thump\n\n\r\n"), (Framing::Bare, ":thump\n\n")] {
        let mut scene = serve(framing);
        let began = Instant::now();
        for beat in 1..=4 {
            assert_eq!(scene.said(wanted.len()).await, wanted);
            assert_eq!(began.elapsed().as_secs(), beat * 15);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_do_not_put_heartbeats_off() {
    let mut scene = serve(Framing::Bare);
    let began = Instant::now();
    let session = Arc::clone(&scene.session);
    let publishing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            session.outbox.offer(Frame::bare("event:\n\n"));
            session.outbox.write();
        }
    });
    let mut beats = Vec::new();
    while beats.len() < 4 {
        if scene.said(8).await == ":thump\n\n" {
            beats.push(began.elapsed().as_secs());
        }
    }
    publishing.abort();
    assert_eq!(beats, [15, 30, 45, 60]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_the_stream_regularly_after_what_was_offered_before() {
    for (framing, frame, wanted) in [
        (Framing::Chunked, Frame::chunk(b"a"), "1\r\na\r\n1\r\na\r\n0\r\n\r\n"),
        (Framing::Bare, Frame::bare("a"), "aa"),
    ] {
        let mut scene = serve(framing);
        scene.offer(frame.clone());
        scene.offer(frame);
        scene.session.outbox.close(CloseReason::Killed);
        assert_eq!(scene.rest().await, wanted);
        assert_eq!(scene.hub.sessions(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_too_slow_is_not_told_of_a_regular_end() {
    let mut scene = serve(Framing::Chunked);
    scene.offer(Frame::chunk(b"a"));
    assert_eq!(scene.said(6).await, "1\r\na\r\n");
    scene.session.outbox.close(CloseReason::OutboxFull);
    assert_eq!(scene.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_told_to_end_and_does_not_read_is_not_told_of_a_regular_end() {
    let mut scene = serve(Framing::Chunked);
    let event = Frame::chunk(&[b'x'; 1_000_000]);
    for _ in 0..3 {
        scene.offer(event.clone());
    }
    scene.session.outbox.close(CloseReason::Killed);
    let told = Instant::now();
    while scene.hub.sessions() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(told.elapsed() >= Duration::from_secs(5), "{:?}", told.elapsed());
    let rest = scene.rest().await;
    assert!(rest.len() < 3 * event.len() && !rest.ends_with("0\r\n\r\n"), "{}", rest.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_or_will_send_nothing_more_is_gone() {
    let Scene { client, session, hub } = serve(Framing::Chunked);
    let mut half_closed = serve(Framing::Chunked);
    drop(client);
    half_closed.client.shutdown().await.expect("it can be shut down");
    while hub.sessions() > 0 {
        tokio::task::yield_now().await;
    }
    half_closed.is_over().await;
    for session in [&session, &half_closed.session] {
        assert_eq!(session.outbox.ended(), Some(CloseReason::ClientGone));
    }
    assert_eq!(half_closed.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_send_something_but_not_without_end() {
    let mut scene = serve(Framing::Chunked);
    scene.client.write_all(&vec![b'x'; MOST_HEARD]).await.expect("it is read");
    assert_eq!(scene.said(13).await, "8\r\n:thump\n\n\r\n");
    scene.client.write_all(b"x").await.expect("it is read");
    scene.is_over().await;
    assert_eq!(scene.session.outbox.ended(), Some(CloseReason::ClientGone));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_overflows_before_its_answer_is_written_is_not_waited_for() {
    let metrics = Arc::<Metrics>::default();
    let hub = Arc::new(Hub::new(Arc::clone(&metrics)));
    for (reason, seconds) in [(CloseReason::OutboxFull, 0), (CloseReason::Killed, 5)] {
        let session = Arc::new(SessionHandle::new(Viewer::in_tests(1, ""), Framing::Chunked));
        let membership = Membership::new(Arc::clone(&session), Arc::clone(&hub), Arc::clone(&metrics));
        let mut waiting = EventStreamSession::new(membership);
        session.outbox.close(reason);
        let told = Instant::now();
        assert_eq!(std::future::poll_fn(|cx| waiting.poll_abandoned(cx)).await, reason);
        assert_eq!(told.elapsed().as_secs(), seconds);
        drop(waiting);
        assert_eq!(hub.sessions(), 0);
    }
}
