//! Programs that must not compile (hazards P2 and P5): each would take a value to a thread that it must not reach, or let
//! it be used after its end. Each one is followed by the nearest program that is allowed, so that none fails for want of
//! an import. They exist only as doctests.

/// A future that is not `Send` is no task: it would be polled, and after an abort dropped, by other threads.
/// ```compile_fail
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// runtime.spawn(async {
///     let local = std::rc::Rc::new(1);
///     crossover_runtime::task::yield_now().await;
///     drop(local);
/// });
/// # std::io::Result::Ok(())
/// ```
/// ```
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// runtime.spawn(async {
///     drop(std::rc::Rc::new(1));
///     crossover_runtime::task::yield_now().await;
/// });
/// # std::io::Result::Ok(())
/// ```
/// It may be the main future, which never leaves its thread.
/// ```
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// runtime.block_on(async {
///     let local = std::rc::Rc::new(1);
///     crossover_runtime::task::yield_now().await;
///     drop(local);
/// });
/// # std::io::Result::Ok(())
/// ```
mod a_task_is_send {}

/// An output that is not `Send` would reach the joiner's thread.
/// ```compile_fail
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// runtime.spawn(async { std::rc::Rc::new(1) });
/// # std::io::Result::Ok(())
/// ```
/// ```compile_fail
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// runtime.spawn_blocking(|| std::rc::Rc::new(1));
/// # std::io::Result::Ok(())
/// ```
/// It need not be `Sync`: one thread at a time has it.
/// ```
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// runtime.spawn(async { std::cell::Cell::new(1) });
/// runtime.spawn_blocking(|| std::cell::Cell::new(1));
/// # std::io::Result::Ok(())
/// ```
mod an_output_is_send {}

/// What a task borrows may be gone before the task is.
/// ```compile_fail
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// let text = String::from("here");
/// runtime.spawn(async { text.len() });
/// # std::io::Result::Ok(())
/// ```
/// ```
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// let text = String::from("here");
/// runtime.spawn(async move { text.len() });
/// # std::io::Result::Ok(())
/// ```
mod a_task_borrows_nothing {}

/// A guard belongs to its thread, and lives no longer than its runtime.
/// ```compile_fail
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// let guard = runtime.enter();
/// std::thread::scope(|scope| scope.spawn(move || drop(guard)).join());
/// # std::io::Result::Ok(())
/// ```
/// ```compile_fail
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// let guard = runtime.enter();
/// drop(runtime);
/// drop(guard);
/// # std::io::Result::Ok(())
/// ```
/// ```
/// # let runtime = crossover_runtime::runtime::Runtime::new()?;
/// let guard = runtime.enter();
/// drop(guard);
/// drop(runtime);
/// # std::io::Result::Ok(())
/// ```
mod a_guard_stays {}

/// A timer may live inside of a `Sleep`, so one that has been polled must not move.
/// ```compile_fail
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let mut sleep = crossover_runtime::time::sleep(std::time::Duration::ZERO);
/// (&mut sleep).await;
/// # });
/// # std::io::Result::Ok(())
/// ```
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let mut sleep = std::pin::pin!(crossover_runtime::time::sleep(std::time::Duration::ZERO));
/// sleep.as_mut().await;
/// # });
/// # std::io::Result::Ok(())
/// ```
mod a_sleep_is_pinned {}

/// The halves of a split socket come from one socket and borrow it.
/// ```compile_fail
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let (mut near, _far) = crossover_runtime::net::UnixStream::pair()?;
/// let (read, _write) = near.split();
/// drop(near);
/// drop(read);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
/// ```
/// # crossover_runtime::runtime::Runtime::new()?.block_on(async {
/// let (mut near, _far) = crossover_runtime::net::UnixStream::pair()?;
/// let (read, _write) = near.split();
/// drop(read);
/// drop(near);
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
mod halves_borrow {}
