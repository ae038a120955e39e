/** What random scripts are too short for: many datasets dropped by an opening that dies, and the limit of links. */
import test from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT_INODE } from '../../../src/ids.ts';
import { reportOf } from '../../support/datasets.ts';
import { at, FILE, namesIn, openStore, outcome, touch } from '../../unit/meta/helpers.ts';
import { DiedError, type Life, Lives } from './meta-life.ts';
import type { Answer } from './meta-worker.ts';

const FILES = 2500;
/** Before the first write, and in each of the three transactions that drop names and that drop records. */
const DEATHS = [1, 1500, 4000, 7000, 8000, 9000];
const LINKS = 65_000;

test('an opening that dies while it drops datasets is taken up by the next', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  const path = join(folder, 'meta');
  const lives = new Lives();
  t.teardown(async () => {
    await lives.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const seed = await openStore(t, { path });
  for (let index = 0; index < FILES; index++) {
    const inode = touch(seed, `file-${index}`);
    if (index % 5 > 0) seed.reportData(inode, reportOf({ sizeBytes: 1 }));
  }
  await seed.close();
  const open = (life: Life, crashAt?: number): Promise<Answer> =>
    life.open({
      path,
      made: [ROOT_INODE],
      reaper: 'prompt',
      blocksOutliveUs: false,
      ...(crashAt !== undefined && { crash: { at: 'write', count: crashAt } }),
    });
  let deaths = 0;
  for (const crashAt of DEATHS) {
    const life = lives.take();
    try {
      await open(life, crashAt);
      await life.ask({ close: true });
    } catch (error) {
      if (!(error instanceof DiedError)) throw error;
      deaths++;
    }
    await lives.end(life);
  }
  t.true(deaths > 2);
  const life = lives.take();
  const opened = await open(life);
  t.is(opened.inodes, 1 + FILES / 5);
  const { inodes, entries, listing } = await life.dump();
  const left = FILES / 5;
  t.deepEqual(
    [inodes, entries, listing].map((table) => Object.keys(table).length),
    [1 + left, left, left],
  );
  t.regex(inodes[ROOT_INODE] ?? '', new RegExp(`bytes=${(left + 2) * 20}/.* ${FILES} ${left}\\]$`));
  await life.ask({ close: true });
});

test('a file takes 65,000 names and no more, and is an orphan only without the last', async (t) => {
  const store = await openStore(t);
  const { inode } = store.create(at('name-1'), FILE);
  for (let count = 2; count <= LINKS; count++) store.link(inode, at(`name-${count}`));
  t.is(store.inode(inode).nlink, LINKS);
  t.is(
    outcome(() => store.link(inode, at('one more'))),
    'EMLINK',
  );
  // A rename over a name of the same file does nothing; one over another file's name makes room for none.
  touch(store, 'other');
  store.rename(at('name-1'), at('name-2'));
  store.rename(at('name-1'), at('other'));
  t.is(store.inode(inode).nlink, LINKS);
  t.is(namesIn(store).length, LINKS);
  for (let count = 2; count <= LINKS; count++) {
    store.unlink(at(`name-${count}`));
    if (count % 1000 === 0) void store.reap(inode);
  }
  t.is(store.inode(inode).nlink, 1);
  const { record } = store.unlink(at('other'));
  t.is(record.nlink, 0);
  void store.reap(inode);
  t.is(
    outcome(() => store.inode(inode)),
    'ESTALE',
  );
});
