use tokio::task::coop::poll_proceed;

use super::*;

#[tokio::test]
async fn a_task_that_may_do_no_more_in_one_go_still_hears_its_alarm() {
    let clocks = Clocks { connect: Duration::from_millis(10), ..Clocks::default() };
    let mut alarm = Alarm::new(Instant::now(), &clocks);
    let set = std::future::poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await;
    assert!(set.is_pending());
    tokio::time::sleep(Duration::from_millis(30)).await;
    let heard = std::future::poll_fn(|cx| {
        while let Poll::Ready(step) = poll_proceed(cx) {
            step.made_progress();
        }
        Poll::Ready(alarm.poll(cx))
    });
    assert!(matches!(heard.await, Poll::Ready((Clock::Connect, _))));
}

#[tokio::test]
async fn a_time_that_no_clock_counts_is_never() {
    let clocks = Clocks { connect: Duration::MAX, total: Duration::MAX, ..Clocks::default() };
    let mut alarm = Alarm::new(Instant::now(), &clocks);
    alarm.set(Clock::Idle, Instant::now(), Duration::MAX);
    assert!(std::future::poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
}
