import test from 'ava';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SYSTEM_CALLERS } from '../../../../src/fs/fuse/caller-state.ts';

/** Children that nobody waits for: one was killed, one has returned; what is left of them can be looked at. */
const ORPHANS = `
import os, signal, sys, time
killed = os.fork()
if killed == 0:
    signal.pause()
returned = os.fork()
if returned == 0:
    os._exit(3)
os.kill(killed, signal.SIGTERM)
for pid in (killed, returned):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(killed, returned, flush=True)
sys.stdin.read()
`;

test('a process that a signal has ended is told from one that has returned', async (t) => {
  const child = spawn('python3', ['-c', ORPHANS], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const [killed = 0, returned = 0] = line.toString().trim().split(' ').map(Number);
  t.true(SYSTEM_CALLERS.hasBeenKilled(killed));
  t.false(SYSTEM_CALLERS.hasBeenKilled(returned));
  child.stdin.end();
});

test('whoever lives has not been killed, nor has who cannot be found', (t) => {
  for (const thread of [process.pid, 0, 2 ** 30]) {
    t.false(SYSTEM_CALLERS.isBeingKilled(thread), String(thread));
    t.false(SYSTEM_CALLERS.hasBeenKilled(thread), String(thread));
  }
});
