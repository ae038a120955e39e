/**
 * The command `imssfs` over a file system that is none: what its engine does is told by FAKE_ENGINE. A mount
 * ends when it is unmounted, or when the file FAKE_MARK.end appears; FAKE_MARK is a file that notes each step.
 */
import { appendFileSync, existsSync } from 'node:fs';
import { argv, env, exit } from 'node:process';
import { FailureError, UsageError } from '../../src/cli/errors.ts';
import { commandArguments } from '../../src/cli/bytes-path.ts';
import type { MountTools } from '../../src/cli/mount-tools.ts';
import { runImssfs } from '../../src/cli/program.ts';
import type { MountCounts, RunningMount, StartEngine } from '../../src/cli/running-mount.ts';
import { FsError } from '../../src/errno.ts';
import type { EngineEnd } from '../../src/fs/engine.ts';
import { noServers } from './no-servers.ts';

const behaviour = env['FAKE_ENGINE'] ?? 'serve';
const mark = env['FAKE_MARK'] ?? '/dev/null';

function note(step: string): void {
  appendFileSync(mark, `${step}\n`);
}

const startEngine: StartEngine = async (config, logger) => {
  note(`start ${config.request.mountPoint.toString('hex')} ${process.cwd()}`);
  if (behaviour === 'refuse') throw new FailureError('no /dev/fuse here; load the module fuse');
  if (behaviour === 'usage') throw new UsageError('a wrong word; write another');
  if (behaviour === 'bug') throw new TypeError('undefined is not\na function');
  if (behaviour === 'die') {
    process.stderr.write('FATAL ERROR: the heap is full\n');
    process.abort();
  }
  if (behaviour === 'hang') await new Promise((resolve) => setTimeout(resolve, 600_000));
  logger.component('fuse').debug('a request');
  return fakeMount();
};

function noCounts(): MountCounts {
  throw new Error('nobody asks for counts here');
}

function fakeMount(): RunningMount {
  let end: (value: EngineEnd) => void = () => undefined;
  const ended = new Promise<EngineEnd>((resolve) => (end = resolve));
  const timer = setInterval(() => {
    if (!existsSync(`${mark}.end`)) return;
    finish({ reason: 'unmounted' });
  }, 10);
  const finish = (value: EngineEnd): void => {
    clearInterval(timer);
    end(value);
  };
  if (behaviour === 'crash') setTimeout(() => { throw new Error('a bug'); }, 200); // prettier-ignore
  if (behaviour === 'fail') {
    setTimeout(() => { finish({ reason: 'failed', error: new Error('the device is gone') }); }, 200); // prettier-ignore
  }
  return {
    engine: {
      start: () => Promise.resolve(),
      ended,
      unmount: (mode) => {
        note(`unmount ${mode}`);
        if (behaviour === 'busy' && mode === 'plain') return Promise.reject(new FsError('EBUSY'));
        if (behaviour !== 'busy') finish({ reason: 'unmounted' });
        return Promise.resolve();
      },
    },
    counts: noCounts,
    describe: () => ['dropped 3 datasets whose blocks are gone'],
    close: () => {
      note('close');
      return Promise.resolve();
    },
  };
}

const state = env['FAKE_STATE'] === 'alive' || env['FAKE_STATE'] === 'dead' ? env['FAKE_STATE'] : 'none'; // prettier-ignore
const tools: MountTools = {
  mountState: () => Promise.resolve(state),
  isMounted: () => Promise.resolve(false),
  recoverDeadMount: () => {
    note('recover');
    return Promise.resolve();
  },
  listMounts: () => Promise.resolve([]),
  findHolders: () => Promise.resolve(['812 bash: cwd /mnt/x/a']),
  findForeignMounts: () => Promise.resolve([]),
  unmount: () => Promise.resolve(),
};

exit(
  await runImssfs({
    startEngine,
    starters: noServers,
    tools,
    args: commandArguments(),
    entry: argv[1] ?? '',
  }),
);
