/**
 * Runs a script on a metadata store in processes that die, beside the model. After each death the database must be
 * as the model is after all that was acknowledged and some of what was sent besides, in order.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT_INODE } from '../../../src/ids.ts';
import { DiedError, type Life, type Lives } from './meta-life.ts';
import { emptyModel, type MetaModel } from './meta-lives.ts';
import type { Outcome } from './meta-model.ts';
import type {
  CrashPoint,
  Operation,
  ReaperMode,
  Request,
  Script,
  Step,
  Tagging,
} from './meta-operations.ts';
import { bindNumbers, differences, type Dump, expectedLine, recordLine } from './meta-state.ts';
import type { Answer, Fault } from './meta-worker.ts';

/** What was done to a store in all, for the log. */
export interface Tally {
  requests: number;
  deaths: number;
  /** Deaths after which an unacknowledged request was found done, and not done. */
  done: number;
  undone: number;
}

export interface RunOptions {
  lives: Lives;
  tally: Tally;
  fault?: Fault;
}

/** A request on its way, and how it must end. */
interface Sent {
  request: Request;
  expected: Outcome;
  /** How many inodes exist then. */
  count: number;
  answer: Promise<Answer>;
}

const FIRST_SECONDS = 1000;

export async function runScript(script: Script, options: RunOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-test-'));
  const run = new ScriptRun(script, join(folder, 'meta'), options);
  try {
    await run.all();
  } finally {
    await run.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

class ScriptRun {
  readonly #script: Script;
  readonly #path: string;
  readonly #options: RunOptions;
  /** As of the last moment at which nothing was on its way. */
  #settled: MetaModel = emptyModel();
  /** With all that was sent. */
  #model: MetaModel = emptyModel();
  /** Inode numbers by the order in which inodes were made; shorter than the model while requests are on their way. */
  #ids: number[] = [ROOT_INODE];
  #sent: Sent[] = [];
  #life: Life | undefined;
  #seconds = FIRST_SECONDS;
  #tagged: Request[] = [];
  readonly #sequences = new Map<number, number>();

  constructor(script: Script, path: string, options: RunOptions) {
    this.#script = script;
    this.#path = path;
    this.#options = options;
  }

  async all(): Promise<void> {
    await this.#open('prompt');
    for (const step of this.#script.steps) await this.#step(step);
    await this.#receiveAll();
    await this.#compare();
    await this.#restart('prompt');
    await this.#current.ask({ close: true });
    this.#options.lives.giveBack(this.#current);
    this.#life = undefined;
  }

  async end(): Promise<void> {
    if (this.#life !== undefined) await this.#options.lives.end(this.#life);
    await Promise.allSettled(this.#sent.map(({ answer }) => answer));
  }

  get #current(): Life {
    if (this.#life === undefined) throw new Error('no process');
    return this.#life;
  }

  async #step(step: Step): Promise<void> {
    switch (step.do) {
      case 'request':
        this.#send(this.#resolve(step));
        if (step.crash !== undefined) await this.#crash();
        break;
      case 'kill':
        await this.#kill(step);
        break;
      case 'close':
        await this.#receiveAll();
        await this.#restart(step.reaper);
        break;
      case 'compare':
        await this.#receiveAll();
        await this.#compare();
        break;
    }
  }

  // Requests

  #send(request: Request): void {
    const expected = this.#model.apply(request);
    const answer = this.#current.ask({ request });
    answer.catch(() => undefined);
    this.#sent.push({ request, expected, count: this.#model.count, answer });
    this.#options.tally.requests++;
  }

  #resolve(step: Extract<Step, { do: 'request' }>): Request {
    const { crash } = step;
    this.#seconds++;
    const base = { seconds: this.#seconds, ...(crash !== undefined && { crash }) };
    const operation = this.#pick(step.operation);
    if (!isTaggable(operation) || step.tagging === undefined) return { ...base, operation };
    return this.#tag({ ...base, operation }, step.tagging);
  }

  #tag(request: Request, tagging: Tagging): Request {
    if (tagging.as === 'retry') {
      const earlier = this.#tagged[tagging.earlier % this.#tagged.length];
      if (earlier?.tag === undefined) return request;
      return { ...request, operation: earlier.operation, tag: earlier.tag };
    }
    const last = this.#model.state.nextSession - 1;
    if (last === 0) return request;
    const session = 1 + (tagging.session % last);
    const sequence = (this.#sequences.get(session) ?? -1) + 1;
    this.#sequences.set(session, sequence);
    const known = this.#model.state.sessions.get(session) ?? 0;
    const tag = { session, sequence, acknowledgedBelow: tagging.acknowledges ? sequence : known };
    const tagged = { ...request, tag };
    this.#tagged.push(tagged);
    return tagged;
  }

  /** Turns the numbers of a step into indexes of what there is. */
  #pick(operation: Operation): Operation {
    const { nodes } = this.#model.state;
    const any = (pick: number): number => pick % nodes.length;
    const directories = this.#model.nodesBy(({ kind }) => kind === 'directory');
    const directory = (pick: number): number =>
      pick >= 95 ? any(pick) : (directories[pick % directories.length] ?? 0);
    switch (operation.op) {
      case 'create':
      case 'unlink':
      case 'rmdir':
        return { ...operation, at: [directory(operation.at[0]), operation.at[1]] };
      case 'link':
        return {
          ...operation,
          inode: any(operation.inode),
          at: [directory(operation.at[0]), operation.at[1]],
        };
      case 'rename':
        return {
          ...operation,
          at: [directory(operation.at[0]), operation.at[1]],
          to: [directory(operation.to[0]), operation.to[1]],
        };
      case 'reap': {
        const orphans = this.#model.nodesBy(({ state }) => state === 'orphan');
        return {
          ...operation,
          inode: orphans[operation.inode % orphans.length] ?? any(operation.inode),
        };
      }
      case 'expireSession':
        return { ...operation, session: 1 + (operation.session % this.#model.state.nextSession) };
      default:
        return 'inode' in operation ? { ...operation, inode: any(operation.inode) } : operation;
    }
  }

  /** Takes answers as they come, at most `most` of them; stops where the process has died. */
  async #receive(most: number): Promise<void> {
    for (let taken = 0; taken < most; taken++) {
      const first = this.#sent[0];
      if (first === undefined) return;
      let answer: Answer;
      try {
        answer = await first.answer;
      } catch (error) {
        if (error instanceof DiedError) return;
        throw error;
      }
      this.#sent.shift();
      this.#acknowledged(first, answer);
    }
  }

  async #receiveAll(): Promise<void> {
    await this.#receive(Infinity);
    if (this.#sent.length > 0)
      throw new Error(`the process died by itself in ${print(this.#sent[0])}`);
    this.#settled = this.#model.copy();
  }

  #acknowledged(sent: Sent, answer: Answer): void {
    const { expected, request } = sent;
    const problem = (what: string): Error => new Error(`${JSON.stringify(request)}: ${what}`);
    this.#settled.apply(request);
    if (answer.code !== expected.code)
      throw problem(`ended with ${answer.code ?? '?'}, the model with ${expected.code}`);
    if (answer.inodes !== sent.count)
      throw problem(`counts ${answer.inodes ?? '?'} inodes, the model ${sent.count}`);
    if (answer.session !== expected.session)
      throw problem(`opened session ${answer.session ?? '?'}`);
    this.#learn(answer, this.#settled.state.nodes.length, problem);
    if ((answer.record === undefined) !== (expected.record === undefined))
      throw problem('a record too many or too few');
    if (answer.record === undefined || expected.record === undefined) return;
    const want = expectedLine(expected.record, this.#ids[expected.node ?? 0] ?? 0, this.#ids);
    const have = recordLine(answer.record);
    if (want !== have) throw problem(`answered\n  ${have}, the model\n  ${want}`);
  }

  /** Takes note of the numbers of what was made; none may have been seen before. */
  #learn(answer: Answer, count: number, problem: (what: string) => Error): void {
    for (const inode of answer.made ?? []) {
      if (inode <= Math.max(...this.#ids))
        throw problem(`inode number ${inode} was given out before`);
      this.#ids.push(inode);
    }
    if (this.#ids.length !== count)
      throw problem(`made ${this.#ids.length} inodes so far, the model ${count}`);
  }

  // Deaths

  async #crash(): Promise<void> {
    const last = this.#sent.at(-1)?.request;
    await this.#receive(Infinity);
    if (this.#sent.length === 0) {
      this.#settled = this.#model.copy();
      return; // It never got to its crash point.
    }
    await this.#recover('prompt', undefined);
    // Whoever sent it knows nothing of its end, and asks again.
    if (last?.tag === undefined) return;
    const again: Request = { ...last };
    delete again.crash;
    this.#send(again);
    await this.#receiveAll();
    await this.#compare();
  }

  async #kill(step: Extract<Step, { do: 'kill' }>): Promise<void> {
    await this.#receive(this.#sent.length === 0 ? 0 : step.acknowledged % this.#sent.length);
    await this.#current.kill();
    await this.#receive(Infinity);
    await this.#recover(step.reaper, step.opening);
  }

  /** The process is dead: finds out what it did last, and opens the database in another. */
  async #recover(reaper: ReaperMode, opening: number | undefined): Promise<void> {
    const { lives, tally } = this.#options;
    tally.deaths++;
    await lives.end(this.#current);
    this.#life = lives.take();
    const dump = await this.#life.look(this.#path);
    const states: MetaModel[] = [this.#settled.copy()];
    for (const { request } of this.#sent) {
      const next = (states.at(-1) ?? this.#settled).copy();
      next.apply(request);
      states.push(next);
    }
    const found = this.#adopt(states, dump, 'after the death of its process');
    if (this.#sent.length > 0) {
      if (found > 0) tally.done++;
      else tally.undone++;
    }
    // What was lost may speak of inodes that were lost with it.
    const lost = new Set(this.#sent.slice(found).map(({ request }) => request));
    this.#tagged = this.#tagged.filter((request) => !lost.has(request));
    this.#sent = [];
    await this.#open(reaper, opening);
  }

  /** Goes on with the first of the states that the database may be in and is; returns which. */
  #adopt(states: readonly MetaModel[], dump: Dump, when: string): number {
    let least: string[] | undefined;
    for (const [index, state] of states.entries()) {
      const ids = bindNumbers(state, this.#ids, dump);
      const found = ids === undefined ? ['other inodes'] : differences(state, ids, dump);
      if (ids !== undefined && found.length === 0) {
        state.die();
        this.#ids = ids;
        this.#settled = state;
        this.#model = state.copy();
        return index;
      }
      if (least === undefined || found.length < least.length) least = found;
    }
    throw new Error(
      `${when}, the database is in none of ${states.length} states; the closest lacks:\n${(least ?? []).join('\n')}`,
    );
  }

  // Openings

  async #open(reaper: ReaperMode, dyingAt?: number): Promise<void> {
    const { lives, fault } = this.#options;
    this.#life ??= lives.take();
    const { blocksOutliveUs } = this.#script;
    const states = this.#settled.openings(reaper, blocksOutliveUs);
    const crash: CrashPoint | undefined =
      dyingAt === undefined ? undefined : { at: 'write', count: dyingAt };
    let opened: Answer;
    try {
      opened = await this.#life.open({
        path: this.#path,
        made: this.#ids,
        reaper,
        blocksOutliveUs,
        ...(crash !== undefined && { crash }),
        ...(fault !== undefined && { fault }),
      });
    } catch (error) {
      if (!(error instanceof DiedError) || dyingAt === undefined) throw error;
      this.#options.tally.deaths++;
      await lives.end(this.#life);
      this.#life = lives.take();
      this.#adopt(states, await this.#life.look(this.#path), 'after death while it was opened');
      return this.#open(reaper);
    }
    const last = states.at(-1) ?? this.#settled;
    const dropped = this.#settled.lostCount(blocksOutliveUs);
    if (opened.dropped !== dropped)
      throw new Error(`dropped ${opened.dropped ?? '?'}, the model ${dropped}`);
    if (opened.inodes !== last.count)
      throw new Error(`opened with ${opened.inodes ?? '?'} inodes, the model ${last.count}`);
    this.#settled = last;
    this.#model = last.copy();
    await this.#compare();
  }

  /** A clean end, and a new beginning. */
  async #restart(reaper: ReaperMode): Promise<void> {
    await this.#current.ask({ close: true });
    this.#settled.die();
    const found = differences(this.#settled, this.#ids, await this.#current.look(this.#path));
    if (found.length > 0) throw new Error(`closing has changed the database:\n${found.join('\n')}`);
    await this.#open(reaper);
  }

  async #compare(): Promise<void> {
    const found = differences(this.#settled, this.#ids, await this.#current.dump());
    if (found.length > 0)
      throw new Error(`the database is not as the model has it:\n${found.join('\n')}`);
  }
}

function isTaggable({ op }: Operation): boolean {
  return ['create', 'link', 'unlink', 'rmdir', 'rename', 'setAttributes'].includes(op);
}

function print(sent: Sent | undefined): string {
  return JSON.stringify(sent?.request);
}
