/** Whether the optional package fuse-native is there, and whether it could be. */
import { loadFuseNative } from '../../src/fs/native/package.ts';

/** Why fuse-native cannot be loaded here, if so. */
export const whyNoFuseNative = reasonAgainstFuseNative();

function reasonAgainstFuseNative(): string | undefined {
  try {
    loadFuseNative();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * `absent` and `broken` are where the package has a binary for this platform (x86-64 with glibc): there it is expected,
 * and not a reason to leave tests out.
 */
export function fuseNativeState(): 'loads' | 'absent' | 'broken' | 'cannot be had' {
  if (whyNoFuseNative === undefined) return 'loads';
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const isServed = process.arch === 'x64' && report.header?.glibcVersionRuntime !== undefined;
  if (!isServed) return 'cannot be had';
  return whyNoFuseNative.includes('not installed:') ? 'absent' : 'broken';
}
