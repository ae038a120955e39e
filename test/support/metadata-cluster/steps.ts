/** Operations over three servers, each run again and again with one participant killed at one of its messages. */
import { serverForDirectory } from '../../../src/meta/distributed/ownership.ts';
import type { InodeId } from '../../../src/ids.ts';
import { inspect, replay } from './checks.ts';
import { Cluster, SimulatedClient, type Sighting } from './cluster.ts';
import { MemoryDatabase } from './memory-database.ts';
import { type Operation, type Place, ROOT } from './namespace-model.ts';

const SERVERS = 3;

/** How long a killed server stays away. */
const AWAY_MS = 50;

/** What every scenario begins with: a directory on each server, with a file, an empty directory and a full one. */
interface Stage {
  directories: readonly number[];
  files: readonly number[];
}

export interface Scenario {
  title: string;
  operation: (stage: Stage) => Operation;
  /** Names that observers look at all the time. */
  watched: (stage: Stage) => readonly Place[];
}

function directory(stage: Stage, server: number): number {
  return stage.directories[server] ?? ROOT;
}

/** A name for a directory in `parent` that puts it on `server`. */
function nameOn(server: number, parent: number): string {
  for (let index = 0; ; index++) {
    const name = `${server}-${index}`;
    if (serverForDirectory(parent as InodeId, Buffer.from(name), SERVERS) === server) return name;
  }
}

function moving(title: string, flag: 'none' | 'exchange', from: string, to: string): Scenario {
  const places = (stage: Stage): [Place, Place] => [
    { parent: directory(stage, 1), name: from },
    { parent: directory(stage, 2), name: to },
  ];
  return {
    title,
    operation: (stage) => ({ kind: 'rename', from: places(stage)[0], to: places(stage)[1], flag }),
    watched: places,
  };
}

export const SCENARIOS: readonly Scenario[] = [
  {
    title: 'mkdir of a directory that another server keeps',
    operation: () => ({ kind: 'mkdir', at: { parent: ROOT, name: nameOn(2, ROOT) } }),
    watched: () => [{ parent: ROOT, name: nameOn(2, ROOT) }],
  },
  {
    title: 'rmdir of a directory that another server keeps',
    operation: (stage) => ({
      kind: 'rmdir',
      at: { parent: directory(stage, 0), name: nameOn(1, directory(stage, 0)) },
    }),
    watched: (stage) => [{ parent: directory(stage, 0), name: nameOn(1, directory(stage, 0)) }],
  },
  {
    title: 'link of a file that another server keeps',
    operation: (stage) => ({
      kind: 'link',
      inode: stage.files[2] ?? 0,
      at: { parent: directory(stage, 1), name: 'linked' },
    }),
    watched: (stage) => [{ parent: directory(stage, 1), name: 'linked' }],
  },
  {
    title: 'unlink of a file that another server keeps',
    operation: (stage) => ({
      kind: 'unlink',
      at: { parent: directory(stage, 0), name: 'foreign' },
    }),
    watched: (stage) => [{ parent: directory(stage, 0), name: 'foreign' }],
  },
  moving('rename of a file to another server', 'none', 'file', 'new'),
  moving('rename of a file over one on another server', 'none', 'file', 'file'),
  moving('exchange of a file and a directory of two servers', 'exchange', 'file', 'full'),
  moving('move of a directory to another server', 'none', 'full', 'new'),
];

async function setStage(cluster: Cluster): Promise<Stage> {
  const client = new SimulatedClient(cluster);
  const make = async (kind: 'create' | 'mkdir', at: Place): Promise<number> => {
    const outcome = await client.perform({ kind, at });
    if (outcome?.ok !== true || outcome.record === undefined) throw new Error('no stage');
    return outcome.record.inode;
  };
  const stage = { directories: [] as number[], files: [] as number[] };
  for (let server = 0; server < SERVERS; server++) {
    const parent = await make('mkdir', { parent: ROOT, name: nameOn(server, ROOT) });
    stage.directories.push(parent);
    stage.files.push(await make('create', { parent, name: 'file' }));
    await make('mkdir', { parent, name: nameOn((server + 1) % SERVERS, parent) });
    const full = await make('mkdir', { parent, name: 'full' });
    await make('create', { parent: full, name: 'inside' });
  }
  const foreign = { parent: directory(stage, 0), name: 'foreign' };
  await client.perform({ kind: 'link', inode: stage.files[1] ?? 0, at: foreign });
  // The stage's names must not be what later scenarios make.
  await client.perform({
    kind: 'rename',
    from: { parent: ROOT, name: nameOn(2, ROOT) },
    to: { parent: ROOT, name: 'kept' },
    flag: 'none',
  });
  return stage;
}

/** A server's number, or the client. */
export type Victim = number | 'client';

export interface StepReport {
  problems: string[];
  /** Messages that arrived while the operation ran. */
  messages: number;
  /** 'OK', the name of an errno, or undefined if the client did not live to see it. */
  result: string | undefined;
}

/** Runs a scenario; `kill` says who is killed, just before which of the operation's messages arrives. */
export async function runScenario(
  scenario: Scenario,
  kill?: { victim: Victim; before: number },
): Promise<StepReport> {
  const databases = Array.from({ length: SERVERS }, () => new MemoryDatabase());
  const cluster = new Cluster(1, databases);
  const { schedule, network } = cluster;
  cluster.conditions = { lost: 0, doubled: 0, mostDelayMs: 2 };
  const setting = setStage(cluster);
  const stage = await finished(cluster, setting);
  await cluster.calm();
  cluster.conditions = { lost: 0, doubled: 0, mostDelayMs: 2 };
  const first = network.arrivals;
  const client = new SimulatedClient(cluster);
  network.onArrival = (count) => {
    if (kill === undefined || count !== first + kill.before) return;
    if (kill.victim === 'client') {
      client.dead = true;
      return;
    }
    const { victim } = kill;
    cluster.kill(victim);
    schedule.after(AWAY_MS, () => {
      cluster.start(victim);
    });
  };
  let over = false;
  const observers = watch(cluster, scenario.watched(stage), () => over);
  const performed = client.perform(scenario.operation(stage));
  const outcome = await finished(cluster, performed);
  const messages = network.arrivals - first;
  over = true;
  await cluster.calm();
  const { model, problems } = replay(cluster.history, await finished(cluster, observers));
  problems.push(...inspect(databases, model), ...network.bugs.map(String));
  const result = outcome === undefined ? undefined : outcome.ok ? 'OK' : outcome.error.code;
  return { problems, messages, result };
}

/** Lets things happen until the promise has settled. */
async function finished<T>(cluster: Cluster, pending: Promise<T>): Promise<T> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  pending.then(note, note);
  await cluster.schedule.run(() => settled, 60_000);
  return pending;
}

/** Two observers that look at the names in both orders for as long as it lasts. */
async function watch(
  cluster: Cluster,
  places: readonly Place[],
  isOver: () => boolean,
): Promise<Sighting[][]> {
  const observe = async (order: readonly Place[]): Promise<Sighting[][]> => {
    const seen: Sighting[][] = [];
    const client = new SimulatedClient(cluster);
    while (!isOver()) seen.push(await client.observe(order));
    return seen;
  };
  const seen = await Promise.all([observe(places), observe([...places].reverse())]);
  return seen.flat();
}
