/**
 * imssfs as it is, but for a VFS with faults: looking up certain names throws what no operation should. Takes the
 * arguments of imssfs.
 */
import { runImssfs } from '../../../src/cli/program.ts';
import { commandArguments } from '../../../src/cli/bytes-path.ts';
import type { StartEngine } from '../../../src/cli/running-mount.ts';
import { startAttached } from '../../../src/cli/attached.ts';
import { systemMounts } from '../../../src/cli/system-mounts.ts';
import type { Vfs } from '../../../src/fs/vfs.ts';
import { InvariantError } from '../../../src/invariant.ts';

const FAULTS: Record<string, () => Error> = {
  'throws-now': () => new RangeError('a fault at once'),
  'throws-later': () => new RangeError('a fault after waiting'),
  'breaks-invariant': () => new InvariantError('a fault in an invariant'),
  'breaks-invariant-later': () => new InvariantError('a late fault in an invariant'),
};

function addFaults(vfs: Vfs): void {
  const lookup = vfs.lookup.bind(vfs);
  vfs.lookup = function* (parent, name) {
    const fault = FAULTS[name.toString()];
    if (name.toString().endsWith('later')) yield Promise.resolve();
    if (fault !== undefined) throw fault();
    return yield* lookup(parent, name);
  };
}

const startEngine: StartEngine = (config, logger) => startAttached(config, logger, addFaults);

process.exit(
  await runImssfs({
    startEngine,
    tools: systemMounts,
    args: commandArguments(),
    entry: process.argv[1] ?? '',
  }),
);
