use super::*;

fn frame(bytes: usize) -> Frame {
    Frame::bare("x".repeat(bytes))
}

#[test]
fn too_many_frames_end_the_session() {
    let outbox = Outbox::default();
    for _ in 0..MAX_FRAMES {
        assert_eq!(outbox.offer(frame(1)), Offer::Accepted);
    }
    assert_eq!(outbox.offer(frame(1)), Offer::Overflowed);
    assert_eq!(outbox.offer(frame(1)), Offer::Ended);
    assert_eq!(outbox.ended(), Some(CloseReason::OutboxFull));
}

#[test]
fn too_many_bytes_end_the_session() {
    let outbox = Outbox::default();
    assert_eq!(outbox.offer(frame(MAX_BYTES)), Offer::Accepted);
    assert_eq!(outbox.offer(frame(1)), Offer::Overflowed);
}

#[test]
fn the_first_reason_to_close_counts() {
    let outbox = Outbox::default();
    outbox.close(CloseReason::Killed);
    outbox.close(CloseReason::Restart);
    assert_eq!(outbox.ended(), Some(CloseReason::Killed));
}

/// An outbox whose socket takes little, and the client's end.
fn attached() -> (Outbox, tokio::net::UnixStream) {
    let (client, server) = tokio::net::UnixStream::pair().expect("a pair of sockets can be made");
    let outbox = Outbox::default();
    outbox.attach(Arc::new(Socket::Unix(server)));
    (outbox, client)
}

/// Reads so many bytes while the outbox is driven as a session's task would.
async fn read_exactly(outbox: &Outbox, client: &mut tokio::net::UnixStream, count: usize) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let mut read = vec![0; count];
    let driving = std::future::poll_fn(|cx| outbox.poll_written(cx));
    let (_, done) = tokio::join!(driving, client.read_exact(&mut read));
    done.expect("it is all written");
    read
}

/// Frames whose bytes tell them apart.
fn numbered(count: u8, bytes: usize) -> Vec<Frame> {
    (0..count).map(|number| Frame(vec![number; bytes].into())).collect()
}

fn bytes_of(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.0.to_vec()).collect()
}

#[tokio::test]
async fn a_frame_over_the_limit_fits_alone() {
    let (outbox, mut client) = attached();
    assert_eq!(outbox.offer(frame(MAX_BYTES + 1)), Offer::Due);
    let _ = read_exactly(&outbox, &mut client, MAX_BYTES + 1).await;
    assert_eq!(outbox.offer(frame(MAX_BYTES)), Offer::Due);
}

#[tokio::test]
async fn what_was_written_makes_room() {
    let (outbox, mut client) = attached();
    outbox.offer(frame(MAX_BYTES / 2));
    outbox.offer(frame(MAX_BYTES / 2));
    let _ = read_exactly(&outbox, &mut client, MAX_BYTES / 2 * 2).await;
    assert_eq!(outbox.offer(frame(MAX_BYTES)), Offer::Due);
}

#[tokio::test]
async fn frames_offered_before_there_is_a_socket_are_written_in_their_order_once_there_is() {
    let (mut client, server) = tokio::net::UnixStream::pair().expect("a pair of sockets can be made");
    let outbox = Outbox::default();
    let frames = numbered(3, 10);
    for frame in &frames {
        assert_eq!(outbox.offer(frame.clone()), Offer::Accepted, "nobody can write it yet");
    }
    outbox.write();
    outbox.attach(Arc::new(Socket::Unix(server)));
    assert_eq!(read_exactly(&outbox, &mut client, 30).await, bytes_of(&frames));
    assert_eq!(outbox.offer(frame(1)), Offer::Due);
}

#[tokio::test]
async fn only_the_first_frame_that_waits_is_due() {
    let (outbox, mut client) = attached();
    let frames = numbered(3, 10);
    assert_eq!(outbox.offer(frames[0].clone()), Offer::Due);
    assert_eq!(outbox.offer(frames[1].clone()), Offer::Accepted);
    assert_eq!(read_exactly(&outbox, &mut client, 20).await, bytes_of(&frames[..2]));
    assert_eq!(outbox.offer(frames[2].clone()), Offer::Due, "nothing waited any more");
}

#[tokio::test]
async fn what_a_full_socket_does_not_take_follows_in_order_when_the_client_reads() {
    let (outbox, mut client) = attached();
    let frames = numbered(200, 30_000);
    for frame in &frames {
        if outbox.offer(frame.clone()) == Offer::Due {
            outbox.write();
        }
    }
    assert!(!outbox.is_written() && outbox.queue.lock().turn != Turn::Scheduled);
    let wanted = bytes_of(&frames);
    assert!(read_exactly(&outbox, &mut client, wanted.len()).await == wanted);
    assert!(outbox.is_written());
    let queue = outbox.queue.lock();
    assert_eq!((queue.count, queue.bytes, queue.begun, queue.turn), (0, 0, 0, Turn::Resting));
}

#[tokio::test]
async fn a_frame_that_was_written_in_part_is_finished_before_the_last_words() {
    let (outbox, mut client) = attached();
    let frames = numbered(3, 1_000_000);
    // The readiness of a fresh socket has to be learned first.
    std::future::poll_fn(|cx| outbox.queue.lock().socket.as_ref().expect("attached").poll_write_ready(cx))
        .await
        .unwrap();
    for frame in &frames {
        outbox.offer(frame.clone());
    }
    outbox.write();
    assert!(outbox.queue.lock().begun > 0, "a part of the first was written");
    outbox.close(CloseReason::OutboxFull);
    outbox.say_last(Frame::close(None));
    let wanted = [&frames[0].0[..], &[0x88, 0]].concat();
    assert!(read_exactly(&outbox, &mut client, wanted.len()).await == wanted);
    outbox.detach();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut client, &mut rest).await.expect("a regular end");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn frames_offered_before_a_kill_are_written_before_the_last_words() {
    let (outbox, mut client) = attached();
    let frames = numbered(2, 10);
    for frame in &frames {
        outbox.offer(frame.clone());
    }
    outbox.close(CloseReason::Killed);
    assert_eq!(outbox.offer(frame(2)), Offer::Ended);
    assert_eq!(read_exactly(&outbox, &mut client, 20).await, bytes_of(&frames));
}

#[tokio::test]
async fn a_client_that_is_gone_ends_the_session() {
    let (outbox, client) = attached();
    drop(client);
    std::future::poll_fn(|cx| outbox.queue.lock().socket.as_ref().expect("attached").poll_write_ready(cx))
        .await
        .unwrap();
    outbox.offer(frame(1));
    outbox.write();
    assert_eq!(outbox.ended(), Some(CloseReason::ClientGone));
    assert!(outbox.is_written());
}

#[tokio::test]
async fn too_many_frames_behind_a_full_socket_end_the_session() {
    let (outbox, _client) = attached();
    let large = frame(2_000_000);
    let mut offers = 0;
    while outbox.offer(large.clone()) != Offer::Overflowed {
        outbox.write();
        offers += 1;
    }
    assert!((MAX_BYTES / 2_000_000..MAX_BYTES / 2_000_000 + 3).contains(&offers), "{offers}");
    assert_eq!(outbox.ended(), Some(CloseReason::OutboxFull));
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_task_that_waits_for_room_to_write_the_rest_is_not_woken_without_it() {
    let (outbox, _client) = attached();
    std::future::poll_fn(|cx| outbox.queue.lock().socket.as_ref().expect("attached").poll_write_ready(cx))
        .await
        .unwrap();
    outbox.offer(frame(1_000_000));
    outbox.write();
    outbox.close(CloseReason::Killed);
    let wakes = Arc::<Wakes>::default();
    let waker = Arc::clone(&wakes).into();
    for _ in 0..3 {
        assert!(outbox.poll_written(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(wakes.0.load(std::sync::atomic::Ordering::Relaxed), 0);
}
