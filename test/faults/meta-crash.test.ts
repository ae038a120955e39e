/** A process that is killed in the middle of metadata operations loses none that it had acknowledged. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { SystemClock } from '../../src/clock.ts';
import { ROOT_INODE } from '../../src/ids.ts';
import { silentLogger } from '../../src/log.ts';
import { MetaOpenError } from '../../src/meta/database-file.ts';
import { LocalMetaStore } from '../../src/meta/local.ts';

const WORKER = fileURLToPath(new URL('meta-crash-worker.js', import.meta.url));
const ROUNDS = 3;
const KILL_AFTER = 300;

function reopen(path: string): Promise<LocalMetaStore> {
  return LocalMetaStore.open({
    path,
    clock: new SystemClock(),
    reaper: { free: () => undefined },
    defaults: { policy: 'RR', blockSizeBytes: 4096, replication: 1 },
    owner: { uid: 0, gid: 0, mode: 0o755 },
    logger: silentLogger,
  });
}

/** Starts the worker, kills it after some acknowledged operations, and returns all that it acknowledged. */
async function runAndKill(
  path: string,
  round: number,
  onFirst: () => Promise<void>,
): Promise<string[]> {
  const child = spawn(process.execPath, [WORKER, path, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged: string[] = [];
  const exited = once(child, 'exit');
  let checked = false;
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(line);
    if (!checked) {
      checked = true;
      await onFirst();
    }
    if (acknowledged.length === KILL_AFTER) child.kill('SIGKILL');
  }
  await exited;
  return acknowledged;
}

test('nothing acknowledged is lost when the process is killed, and its lock does not outlive it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const path = join(folder, 'meta');
  const inodes = new Set<number>();
  for (let round = 0; round < ROUNDS; round++) {
    const lines = await runAndKill(path, round, async () => {
      const error = await t.throwsAsync(reopen(path), { instanceOf: MetaOpenError });
      t.is(error.reason, 'in-use');
    });
    t.true(lines.length >= KILL_AFTER);
    const store = await reopen(path);
    for (const line of lines) {
      const [name = '', inode = '', gone = ''] = line.split(' ');
      t.false(inodes.has(Number(inode)), `inode ${inode} was given out twice`);
      inodes.add(Number(inode));
      const found = store.lookup(ROOT_INODE, Buffer.from(name));
      t.true(found.inode === Number(inode), `${name} is another file`);
      t.throws(() => store.lookup(ROOT_INODE, Buffer.from(gone)), { message: /ENOENT/ });
    }
    await store.close();
  }
});
