/** Whether mount 0 of a cluster is the only one of its file system, and lets its kernel keep what it is told. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatasetInfo } from '../../src/fs/dataset-info.ts';
import type { Cluster } from './cluster.ts';
import { IMSSFS } from './mount.ts';
import { runOk } from './run.ts';

const MAX_QUESTIONS = 300;

export async function isAlone(cluster: Cluster): Promise<boolean> {
  const { stdout } = await runOk(IMSSFS, ['info', '--json', cluster.at(0)]);
  return (JSON.parse(stdout) as DatasetInfo).alone;
}

export async function untilAlone(cluster: Cluster): Promise<void> {
  for (let count = 0; count < MAX_QUESTIONS; count++) {
    if (await isAlone(cluster)) return;
    await sleep(50);
  }
  throw new Error('the only mount does not know that it is');
}
