/** Where this process's numbers of processes mean something: which of them another mount may take for its own. */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

/** Equal for all in one process namespace of one running kernel; below 2^53. 0 where that cannot be told. */
export function processPlace(): number {
  try {
    const kernel = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const namespace = readlinkSync('/proc/self/ns/pid');
    const digest = createHash('sha256').update(`${kernel}${namespace}`).digest();
    return digest.readUIntBE(0, 6);
  } catch {
    return 0;
  }
}
