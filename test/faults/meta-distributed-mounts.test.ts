/** Mounts of a file system with several metadata servers, which are killed while names move between their folders. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { type Cluster, withCluster } from '../support/cluster.ts';
import { skipsMounts } from '../support/mount.ts';

const clusterTest = skipsMounts ? test.skip : test.serial;

const FOLDERS = Array.from({ length: 9 }, (_, index) => `folder${index}`);
const LANES = 3;
const MOVES = 12;
const DEATHS = 5;
const AWAY_MS = 100;

/** What one lane moves about: a file, and a folder with a file in it. */
function things(mount: number, lane: number): { file: string; folder: string } {
  return { file: `file-${mount}-${lane}`, folder: `inner-${mount}-${lane}` };
}

/** Names in each folder, as a mount shows them. */
async function contents(cluster: Cluster, mount: number): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const folder of FOLDERS) {
    found.set(folder, (await readdir(cluster.at(mount, folder))).sort());
  }
  return found;
}

async function moveAbout(cluster: Cluster, mount: number, lane: number): Promise<void> {
  const { file, folder } = things(mount, lane);
  let at = lane;
  await writeFile(cluster.at(mount, FOLDERS[at] ?? '', file), file);
  await mkdir(cluster.at(mount, FOLDERS[at] ?? '', folder));
  await writeFile(cluster.at(mount, FOLDERS[at] ?? '', folder, 'inside'), folder);
  for (let move = 0; move < MOVES; move++) {
    // 1, 3 and 7 lead through all nine folders, or a third of them.
    const next = (at + ([1, 3, 7][lane] ?? 1)) % FOLDERS.length;
    for (const name of [file, folder]) {
      const from = cluster.at(mount, FOLDERS[at] ?? '', name);
      await rename(from, cluster.at(mount, FOLDERS[next] ?? '', name));
    }
    at = next;
  }
}

async function killAgainAndAgain(cluster: Cluster): Promise<void> {
  for (let death = 0; death < DEATHS; death++) {
    const victim = cluster.metaServers[death % cluster.metaServers.length];
    if (victim === undefined) throw new Error('no metadata server');
    await delay(AWAY_MS);
    await cluster.kill(victim);
    await cluster.start(victim);
  }
}

clusterTest(
  'names that move between folders of three metadata servers survive the death of any of them',
  async (t) => {
    const shape = { meta: 3, blocks: 1, mounts: 2, keepsMetadata: true };
    await withCluster(t, shape, async (cluster) => {
      for (const folder of FOLDERS) await mkdir(cluster.at(0, folder));
      const lanes = [0, 1].flatMap((mount) =>
        Array.from({ length: LANES }, (_, lane) => moveAbout(cluster, mount, lane)),
      );
      await Promise.all([...lanes, killAgainAndAgain(cluster)]);

      const found = await contents(cluster, 0);
      t.deepEqual(await contents(cluster, 1), found);
      const expected = [0, 1].flatMap((mount) =>
        Array.from({ length: LANES }, (_, lane) => Object.values(things(mount, lane))).flat(),
      );
      t.deepEqual([...found.values()].flat().sort(), expected.sort());
      for (const [folder, names] of found) {
        for (const name of names) {
          const path = name.startsWith('file') ? [folder, name] : [folder, name, 'inside'];
          t.is(await readFile(cluster.at(1, ...path), 'utf8'), name);
        }
      }
      for (const folder of FOLDERS) await rm(cluster.at(1, folder), { recursive: true });
      t.deepEqual(await readdir(cluster.at(0)), []);
    });
  },
);
