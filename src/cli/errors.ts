/** How commands fail: one line on stderr, exit code 2 for usage and 1 for everything else, never a stack. */
import { ConfigError } from '../config.ts';

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** The command line is wrong. The message is one line: what is wrong; what to do. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The command cannot do it here and now. The message is one line: what is wrong; what to do. */
export class FailureError extends Error {
  override name = 'FailureError';
}

/** What a command tells when it fails. */
export interface Failure {
  message: string;
  exitCode: number;
}

/** The daemon could not mount; carries its message and exit code. */
export class StartFailure extends Error {
  override name = 'StartFailure';
  readonly exitCode: number;

  constructor(failure: Failure) {
    super(failure.message);
    this.exitCode = failure.exitCode;
  }
}

/** Names of errors that mean a bug: their text alone says nothing to a person at a shell. */
const BUGS = new Set([
  'TypeError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'InvariantError',
]);

/** One line and the exit code for anything thrown. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { message: oneLine(String(error)), exitCode: EXIT_FAILURE };
  const message = oneLine(error.message);
  if (error instanceof UsageError || error instanceof ConfigError) {
    return { message, exitCode: EXIT_USAGE };
  }
  if (error instanceof StartFailure) return { message, exitCode: error.exitCode };
  if (BUGS.has(error.name)) {
    return { message: `internal error: ${message}; please report it`, exitCode: EXIT_FAILURE };
  }
  return { message, exitCode: EXIT_FAILURE };
}

/** `text` without line breaks and other control characters. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it takes out
  return text.trim().replace(/\s*[\u0000-\u001f\u007f-\u009f]+\s*/g, ' ');
}

/** `ENOENT` and the like, where the error carries one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
