export { createBackoff, type Backoff, type BackoffOptions } from "./backoff.ts";
export { createBreaker, type Breaker, type BreakerOptions, type BreakerState } from "./breaker.ts";
export { createPeriodicTask, type PeriodicTask, type PeriodicTaskOptions } from "./periodic-task.ts";
