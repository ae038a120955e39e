/** The only way in which transactions over several servers know of time and chance; tests replace it. */

export interface Timing {
  /** Milliseconds from an arbitrary start; never goes back. */
  nowMs(): number;
  /** Runs `action` after a while; returns what cancels it. */
  after(delayMs: number, action: () => void): () => void;
  /** At least 0, below 1. */
  random(): number;
}

/** The process's own; no timer of it keeps the process alive. */
export const systemTiming: Timing = {
  nowMs: () => performance.now(),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
  random: () => Math.random(),
};

export function sleep(timing: Timing, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    timing.after(delayMs, resolve);
  });
}

/** The wait took longer than it may. */
export class PatienceError extends Error {
  override name = 'PatienceError';
}

/** Waits until `deadlineMs` of the timing's clock, then fails with {@link PatienceError}. */
export function waitUntil<T>(
  timing: Timing,
  deadlineMs: number,
  pending: PromiseLike<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = timing.after(Math.max(0, deadlineMs - timing.nowMs()), () => {
      reject(new PatienceError('no answer in time'));
    });
    pending.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
