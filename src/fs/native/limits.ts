/**
 * What the fuse-native engine cannot do, in one table: docs/engines.md shows it, and a test of the integration suite
 * that is left out on this engine names the entry for which it is.
 */

export interface NativeLimit {
  /** What is not there, as the user of a mount sees it. */
  readonly what: string;
  /** Which part is to blame, and for what. */
  readonly why: string;
}

export const NATIVE_LIMITS = {
  caller: {
    what: 'One user: only who has mounted gets in, not even root does, and `-o allow_other` is refused.',
    why: 'The package does not pass on who calls, so files of several users could not be owned or protected right.',
  },
} as const satisfies Readonly<Record<string, NativeLimit>>;

/** Names an entry of {@link NATIVE_LIMITS}. */
export type NativeLimitName = keyof typeof NATIVE_LIMITS;
