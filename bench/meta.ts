/** Speed and size of the local metadata store: `npm run bench:meta -- [--quick]`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../src/clock.ts';
import { type EntrySequence, ROOT_INODE } from '../src/ids.ts';
import { silentLogger } from '../src/log.ts';
import { LocalMetaStore } from '../src/meta/local.ts';
import { FileType } from '../src/stat.ts';
import { sharedOptions } from './harness/shared-options.ts';

const { quick } = sharedOptions();
const count = quick ? 2_000 : 100_000;
const folder = mkdtempSync(join(tmpdir(), 'imssfs-bench-'));
const store = await LocalMetaStore.open({
  temporaryIn: folder,
  clock: new SystemClock(),
  reaper: { free: () => undefined },
  defaults: { policy: 'RR', blockSizeBytes: 2 ** 20, replication: 1 },
  owner: { uid: 0, gid: 0, mode: 0o755 },
  logger: silentLogger,
});

function measure(what: string, times: number, action: (index: number) => unknown): void {
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let index = 0; index < times; index++) action(index);
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  const cpuEach = ((user + system) / times).toFixed(2);
  const rate = Math.round((times / ms) * 1000).toLocaleString('en');
  console.log(
    `${what}: ${rate}/s, ${((ms * 1000) / times).toFixed(2)} µs each, ${cpuEach} µs of CPU`,
  );
}

const name = (index: number): Buffer => Buffer.from(`file-${String(index).padStart(6, '0')}`);
const parent = store.create(
  { parent: ROOT_INODE, name: Buffer.from('directory') },
  { mode: FileType.DIRECTORY | 0o755, uid: 0, gid: 0 },
).inode;
const file = { mode: FileType.REGULAR | 0o644, uid: 1000, gid: 1000 };

const before = store.statistics();
measure('create', count, (index) => store.create({ parent, name: name(index) }, file));
const filled = store.statistics();
console.log(
  `bytes per empty file: ${Math.round((filled.usedBytes - before.usedBytes) / count)} in use, ` +
    `${Math.round((filled.fileBytes - before.fileBytes) / count)} in the file`,
);
const scattered = (index: number): number => (index * 7919) % count;
measure('lookup', count, (index) => store.lookup(parent, name(scattered(index))));
const { inode: first } = store.lookup(parent, name(0));
measure('inode', count, (index) => store.inode((first + scattered(index)) as typeof first));
const miss = Buffer.from('missing');
measure('lookup of nothing', count, () => {
  try {
    store.lookup(parent, miss);
  } catch {
    // Expected.
  }
});
let position = 0 as EntrySequence;
const start = performance.now();
for (let upTo: EntrySequence | undefined; upTo === undefined || position < upTo;) {
  const page = store.list(parent, { after: position, upTo, limit: 512, withRecords: false });
  ({ upTo } = page);
  position = page.entries.at(-1)?.sequence ?? upTo;
}
const listMs = performance.now() - start;
console.log(`list: ${Math.round((count / listMs) * 1000).toLocaleString('en')} entries/s`);
measure('setAttributes', count / 10, (index) =>
  store.setAttributes((first + scattered(index)) as typeof first, { permissions: 0o600 }),
);
measure('rename', count / 10, (index) =>
  store.rename({ parent, name: name(index) }, { parent, name: Buffer.from(`moved-${index}`) }),
);
measure('unlink and reap', count / 10, (index) =>
  store.reap(store.unlink({ parent, name: Buffer.from(`moved-${index}`) }).record.inode),
);
await store.close();
rmSync(folder, { recursive: true });
