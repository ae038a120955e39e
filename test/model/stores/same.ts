/** Throws, naming `what`, unless the store under test has the value that its model has. Compares as JSON. */
export function same(what: string, found: unknown, expected: unknown): void {
  const [have, want] = [found, expected].map((value) => JSON.stringify(value));
  if (have !== want) throw new Error(`${what}: ${have ?? ''}, the model has ${want ?? ''}`);
}
