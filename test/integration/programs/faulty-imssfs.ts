/**
 * imssfs as it is, but for faults: looking up certain names throws what no operation should, and one name breaks the
 * engine itself, so that nobody answers. Takes the arguments of imssfs.
 */
import { createRequire } from 'node:module';
import { runImssfs } from '../../../src/cli/program.ts';
import { commandArguments } from '../../../src/cli/bytes-path.ts';
import type { StartEngine } from '../../../src/cli/running-mount.ts';
import { startAttached } from '../../../src/cli/attached.ts';
import { systemMounts } from '../../../src/cli/system-mounts.ts';
import { KernelDevice } from '../../../src/fs/fuse/device.ts';
import type { FuseConstructor } from '../../../src/fs/native/fuse-native.d.ts';
import type { Vfs } from '../../../src/fs/vfs.ts';
import { InvariantError } from '../../../src/invariant.ts';
import { noServers } from '../../support/no-servers.ts';

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

const BREAKS_ENGINE = 'breaks-engine';

function engineFault(): never {
  throw new RangeError('a fault in an engine');
}

/** From the lookup on, no answer leaves the device. */
function breakKernelEngine(vfs: Vfs): void {
  const lookup = vfs.lookup.bind(vfs);
  vfs.lookup = function* (parent, name) {
    if (name.toString() === BREAKS_ENGINE) KernelDevice.prototype.write = engineFault;
    return yield* lookup(parent, name);
  };
}

/** The handler behind which libfuse's thread waits throws. */
function breakNativeEngine(): void {
  const { prototype } = createRequire(import.meta.url)('fuse-native') as FuseConstructor;
  const getattr = Reflect.get(prototype, '_op_getattr');
  prototype._op_getattr = function (signal, path) {
    if (path === `/${BREAKS_ENGINE}`) engineFault();
    getattr.call(this, signal, path);
  };
}

const startEngine: StartEngine = (config, logger) =>
  startAttached(config, logger, (vfs) => {
    addFaults(vfs);
    if (config.settings.engine === 'fuse-native') breakNativeEngine();
    else breakKernelEngine(vfs);
  });

process.exit(
  await runImssfs({
    startEngine,
    starters: noServers,
    tools: systemMounts,
    args: commandArguments(),
    entry: process.argv[1] ?? '',
  }),
);
