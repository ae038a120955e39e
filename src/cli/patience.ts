/** Waiting that does not leave the person at the shell in the dark. */

/** After this a command says what it waits for; a loaded machine starts a process in less. */
export const PATIENCE_MS = 3000;

/** `work`, and a call of `tell` if it takes long. */
export async function saying<T>(
  work: Promise<T>,
  tell: () => void,
  afterMs = PATIENCE_MS,
): Promise<T> {
  const timer = setTimeout(tell, afterMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
