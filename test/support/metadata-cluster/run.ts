/** A run of random operations over a cluster, under faults that a seed decides. */
import type { Database } from '../../../src/meta/kv.ts';
import { inspect, replay } from './checks.ts';
import { Cluster, serverFor, SimulatedClient, type Sighting } from './cluster.ts';
import { type Operation, type Place, ROOT } from './namespace-model.ts';

export interface RunOptions {
  seed: number;
  databases: readonly Database[];
  clients: number;
  operationsPerClient: number;
  /** Servers and clients are killed, connections cut, messages lost and doubled. */
  faults: boolean;
}

export interface RunReport {
  problems: string[];
  committed: number;
  succeeded: number;
  kills: number;
  sightings: number;
}

const NAMES = ['a', 'b', 'c', 'd', 'e'];

class Run {
  readonly cluster: Cluster;
  readonly observers: Sighting[][] = [];
  kills = 0;
  readonly #options: RunOptions;
  /** All that were ever made, as far as clients were told. */
  readonly #directories = [ROOT];
  readonly #files: number[] = [];
  #working = 0;

  constructor(options: RunOptions) {
    this.#options = options;
    this.cluster = new Cluster(options.seed, options.databases);
  }

  async go(): Promise<void> {
    const { clients, operationsPerClient, faults } = this.#options;
    const { schedule } = this.cluster;
    this.cluster.conditions = faults
      ? { lost: 0.03, doubled: 0.03, mostDelayMs: 4 }
      : { lost: 0, doubled: 0, mostDelayMs: 4 };
    if (faults) this.#plague();
    for (let client = 0; client < clients; client++) void this.#work(operationsPerClient);
    void this.#watch();
    await schedule.run(() => this.#working === 0, 1_000_000);
    await this.cluster.calm();
  }

  async #work(operations: number): Promise<void> {
    const { schedule } = this.cluster;
    this.#working++;
    let client = new SimulatedClient(this.cluster);
    for (let done = 0; done < operations; done++) {
      if (this.#options.faults && schedule.chance(0.1)) {
        const mortal = client;
        schedule.after(schedule.random() * 20, () => {
          mortal.dead = true;
        });
      }
      const operation = this.#choose();
      const anywhere = schedule.chance(0.1) ? schedule.below(3) : serverFor(operation);
      const outcome = await client.perform(operation, anywhere);
      if (client.dead) client = new SimulatedClient(this.cluster);
      if (outcome?.ok !== true || outcome.record === undefined) continue;
      if (operation.kind === 'mkdir') this.#directories.push(outcome.record.inode);
      if (operation.kind === 'create') this.#files.push(outcome.record.inode);
    }
    this.#working--;
  }

  #place(): Place {
    const { schedule } = this.cluster;
    return { parent: schedule.pick(this.#directories), name: schedule.pick(NAMES) };
  }

  #choose(): Operation {
    const { schedule } = this.cluster;
    const at = this.#place();
    const roll = schedule.below(100);
    if (roll < 15) return { kind: 'create', at };
    if (roll < 40) return { kind: 'mkdir', at };
    if (roll < 48) return { kind: 'unlink', at };
    if (roll < 56) return { kind: 'rmdir', at };
    if (roll < 66 && this.#files.length > 0) {
      return { kind: 'link', inode: schedule.pick([...this.#files, ...this.#directories]), at };
    }
    const flag = schedule.pick(['none', 'none', 'noReplace', 'exchange'] as const);
    return { kind: 'rename', from: at, to: this.#place(), flag };
  }

  async #watch(): Promise<void> {
    const client = new SimulatedClient(this.cluster);
    while (this.#working > 0) {
      const places = [this.#place(), this.#place()];
      this.observers.push(await client.observe([...places, ...places]));
    }
  }

  #plague(): void {
    const { schedule, servers } = this.cluster;
    schedule.after(10 + schedule.random() * 150, () => {
      if (this.#working === 0) return;
      const victim = schedule.below(servers.length);
      if (servers[victim] !== undefined) {
        this.kills++;
        this.cluster.kill(victim);
        schedule.after(schedule.random() * 300, () => {
          if (servers[victim] === undefined) this.cluster.start(victim);
        });
      }
      this.#plague();
    });
  }
}

export async function runRandomly(options: RunOptions): Promise<RunReport> {
  const run = new Run(options);
  await run.go();
  const { history, network } = run.cluster;
  const { model, problems } = replay(history, run.observers);
  problems.push(...inspect(options.databases, model), ...network.bugs.map(String));
  return {
    problems,
    committed: history.length,
    succeeded: history.filter(({ result }) => result === 'OK').length,
    kills: run.kills,
    sightings: run.observers.flat().length,
  };
}
