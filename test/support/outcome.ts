/** What calls come to, as names of errnos, so that whole tables of them are compared at once. */
import type { PathCall } from './path-calls.ts';

/** The name of the errno with which `call` fails, or `ok`. */
export function outcome(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** What each call comes to with one path, by its name. */
export function outcomes(
  calls: readonly PathCall[],
  { path, other, folder }: { path: string; other: string; folder?: number },
): Record<string, string> {
  return Object.fromEntries(
    calls.map(({ name, call }) => [name, outcome(() => call(path, other, folder))]),
  );
}

/** The same for all calls, but for those named. */
export function expected(
  calls: readonly PathCall[],
  code: string,
  exceptions: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return Object.fromEntries(calls.map(({ name }) => [name, exceptions[name] ?? code]));
}
