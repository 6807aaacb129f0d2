//! The process pool against the failures that such pools really suffer; `p01` to `p28` are numbered as in the pool's
//! design. No libtest: the workers are copies of this program, so `main` must be ours.
//!
//! Arguments: a part of the names of the tests to run; `--list` lists them. Each test says what would break it, has a
//! watchdog, waits on events and never on time that passes, and its bounds are wide. `p13`, `p14` and `p27` need a
//! `main` of their own: `process_pool_bad_main`.

mod cancels;
mod deaths;
mod hostile;
mod jobs;
mod lifecycle;
mod limits;
mod roles;
mod runner;
mod sabotage;
mod support;
mod surroundings;
mod values;

use runner::Scenario;

/// Names each function as a scenario.
macro_rules! scenarios {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$(Scenario { name: stringify!($name), run: $module::$name }),*]
    };
}

const SCENARIOS: &[Scenario] = scenarios![
    values::calls_of_every_arity_are_typed_by_the_function,
    values::jobs_of_one_name_in_two_functions_are_kept_apart,
    values::a_function_without_the_attribute_is_refused,
    values::a_job_returns_its_own_errors_as_results,
    values::any_executor_will_do,
    values::a_worker_has_no_descriptors_but_its_own,
    deaths::p01_sigkill_of_a_busy_worker_fails_only_its_job,
    deaths::p01_the_slot_of_a_killed_worker_is_back_at_once,
    deaths::p02_a_worker_killed_for_memory_is_an_error_at_once,
    deaths::p02_a_worker_without_memory_says_so_and_the_pool_goes_on,
    deaths::p03_kills_at_random_instants_hang_nothing,
    deaths::p03_an_answer_survives_its_worker,
    deaths::p04_a_job_that_its_dead_worker_never_read_runs_elsewhere,
    deaths::p04_an_unstarted_job_survives_any_number_of_deaths,
    cancels::p04_cancels_race_completions,
    cancels::p04_a_kill_hits_the_dropped_job_only,
    values::p05_many_submits_before_the_first_poll_complete,
    values::p06_large_payloads_cross_both_ways_at_once,
    values::p07_values_that_do_not_encode_or_decode_fail_their_call_only,
    values::p07_payloads_beyond_the_frame_limit_fail_their_call_only,
    deaths::p08_a_panic_is_reported_and_the_worker_lives,
    deaths::p08_a_panic_carries_its_backtrace_when_asked_for,
    deaths::p08_an_abort_is_reported_with_the_tail_of_stderr,
    deaths::p08_an_exit_is_reported_with_its_code,
    deaths::p13_without_descriptors_calls_fail_with_the_cause_and_recover,
    surroundings::p09_busy_workers_die_with_their_parent,
    surroundings::p09_idle_workers_die_with_their_parent,
    surroundings::p09_the_watchdog_alone_kills_a_busy_worker,
    surroundings::p09_starting_workers_die_with_their_parent,
    surroundings::p10_a_worker_survives_the_thread_that_called_first,
    surroundings::p11_workers_start_under_threads_that_allocate,
    lifecycle::p12_every_call_resolves_when_the_pool_is_dropped_early,
    cancels::p15_an_endless_job_ends_at_its_timeout,
    cancels::p15_the_clock_starts_with_the_job,
    cancels::p15_a_stopped_worker_is_killed_at_the_timeout,
    cancels::p16_a_queued_job_whose_call_is_dropped_never_runs,
    cancels::p16_a_running_job_whose_call_is_dropped_finishes_by_default,
    cancels::p16_a_running_job_whose_call_is_dropped_is_killed_on_request,
    cancels::p16_a_job_behind_another_is_dropped_without_a_kill,
    cancels::p16_calls_dropped_while_a_worker_starts_leave_nothing,
    deaths::p17_an_abort_takes_no_other_job_with_it,
    cancels::p18_a_long_job_blocks_no_short_ones,
    surroundings::p19_ctrl_c_reaches_the_parent_only,
    surroundings::p19_a_shutdown_takes_no_longer_than_its_grace,
    surroundings::p20_a_grandchild_neither_delays_nor_outlives_its_worker,
    surroundings::p20_grandchildren_that_hold_the_pipes_delay_no_shutdown,
    surroundings::p21_what_a_job_prints_reaches_stdout_and_breaks_nothing,
    surroundings::p21_a_job_may_close_its_standard_streams,
    surroundings::p21_stdin_is_empty_and_stderr_never_full,
    deaths::p22_kill_cycles_leave_nothing,
    deaths::p23_a_death_that_others_reaped_is_still_reported,
    surroundings::p25_a_replaced_program_file_does_not_matter,
    lifecycle::p28_a_full_queue_refuses_or_holds_back,
    lifecycle::p28_submits_without_end_wait_for_room,
    lifecycle::close_finishes_what_was_taken_and_reaps_all,
    lifecycle::close_cuts_off_what_is_not_done_by_its_deadline,
    lifecycle::dropping_the_pool_kills_and_reaps_busy_workers,
    lifecycle::dropping_the_pool_while_a_worker_starts_leaves_nothing,
    lifecycle::a_waker_may_drop_the_pool,
    lifecycle::a_waker_whose_panic_cannot_be_dropped_hurts_nobody,
    limits::p12_a_worker_serves_one_job_when_told_so,
    limits::p12_every_call_resolves_when_a_recycling_pool_is_dropped_early,
    limits::p12_idle_workers_go_and_no_job_is_lost_with_them,
    limits::p15_waiting_has_a_limit_of_its_own,
    limits::p15_no_time_at_all_is_a_limit_too,
    limits::p17_a_retry_is_one_more_run_and_only_after_a_death,
    limits::p24_a_memory_hog_fails_alone,
    limits::a_key_stays_with_its_worker,
    limits::p18_a_job_sent_to_a_stopped_worker_runs_elsewhere,
    limits::p24_a_worker_that_leaks_is_replaced_between_jobs,
    hostile::p26_a_job_that_forks_and_returns_twice_mixes_nothing_up,
    hostile::p26_shared_memory_cannot_be_truncated,
    hostile::p26_a_call_may_carry_thousands_of_blobs,
    hostile::p26_the_segments_of_an_answer_survive_its_worker,
    hostile::p26_a_job_may_close_every_descriptor,
    hostile::p26_garbage_in_the_lane_hurts_nobody_else,
    hostile::p26_blobs_outlive_their_worker_and_their_pool,
    hostile::p26_blobs_that_a_worker_keeps_stay_whole,
    hostile::a_call_may_be_waited_for_on_the_thread_of_its_own_runtime,
    hostile::a_later_runtime_is_served_as_the_first,
    hostile::a_forked_child_that_drops_the_pool_leaves_it_alone,
    hostile::calls_outlive_the_runtime_that_made_them,
];

fn main() {
    crossover_runtime::process_pool::worker_entry();
    roles::play_if_asked();
    std::process::exit(runner::run(SCENARIOS));
}
