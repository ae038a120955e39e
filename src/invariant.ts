/** Assertions that stay on in production: a broken invariant is a bug, never an errno. */

/** Thrown by {@link invariant}; whoever catches it logs it, unmounts and exits. */
export class InvariantError extends Error {
  override name = 'InvariantError';
}

/** Throws {@link InvariantError} with `message` unless `condition` holds. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
