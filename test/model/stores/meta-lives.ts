/**
 * The rest of the model of the metadata store: exactly-once requests, the end of datasets, and what each opening of
 * the database does to it, step by step, since a crash may fall between any two.
 */
import {
  type ModelState,
  fail,
  ModelError,
  NamespaceModel,
  type Node,
  type Outcome,
} from './meta-model.ts';
import type { Operation, ReaperMode, Request, Tag } from './meta-operations.ts';

export class MetaModel extends NamespaceModel {
  copy(): MetaModel {
    return new MetaModel(structuredClone(this.state));
  }

  /** Inodes that exist, orphans included. */
  get count(): number {
    return this.state.nodes.filter((node) => node.state !== 'gone').length;
  }

  /** Runs one request and tells how it ends. */
  apply(request: Request): Outcome {
    const { operation, tag, seconds } = request;
    try {
      return tag === undefined ? this.run(operation, seconds) : this.once(tag, operation, seconds);
    } catch (error) {
      if (error instanceof ModelError) return { code: error.message };
      throw error;
    }
  }

  private once(tag: Tag, operation: Operation, now: number): Outcome {
    const { sessions, replies } = this.state;
    const acknowledged = sessions.get(tag.session) ?? fail('ESTALE');
    if (tag.sequence < Math.max(acknowledged, tag.acknowledgedBelow)) fail('ESTALE');
    const recorded = replies.get(tag.session) ?? new Map<number, Outcome>();
    replies.set(tag.session, recorded);
    if (tag.acknowledgedBelow > acknowledged) {
      sessions.set(tag.session, tag.acknowledgedBelow);
      for (const sequence of [...recorded.keys()]) {
        if (sequence < tag.acknowledgedBelow) recorded.delete(sequence);
      }
    }
    const reply = recorded.get(tag.sequence);
    if (reply !== undefined) return reply;
    let outcome: Outcome;
    try {
      outcome = this.run(operation, now);
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      outcome = { code: error.message };
    }
    recorded.set(tag.sequence, structuredClone(outcome));
    return outcome;
  }

  private run(operation: Operation, now: number): Outcome {
    switch (operation.op) {
      case 'create':
        return this.tell(this.create(operation.at, operation, now));
      case 'link':
        return this.tell(this.link(operation.inode, operation.at, now));
      case 'unlink':
      case 'rmdir':
        return this.tell(this.remove(operation.at, operation.op === 'rmdir', now));
      case 'rename':
        return this.tell(this.rename(operation, now));
      case 'setAttributes':
        this.setAttributes(operation, now);
        return this.tell(operation.inode);
      case 'directoryAt':
        return this.tell(this.directoryAt(operation.path, now));
      case 'openSession':
        return this.openSession();
      default:
        this.runQuietly(operation, now);
        return { code: 'OK' };
    }
  }

  private runQuietly(operation: Operation, now: number): void {
    if (operation.op === 'touchAtime') {
      const node = this.existing(operation.inode);
      node.atime = Math.max(node.atime, operation.seconds);
    } else if (operation.op === 'confirmBorn') this.existing(operation.inode).unborn = false;
    else if (operation.op === 'reportData') this.reportData(operation, now);
    else if (operation.op === 'reap') this.reap(operation.inode);
    else if (operation.op === 'reaper') this.state.reaper = operation.mode;
    else if (operation.op === 'retryFrees') this.retryFrees();
    else if (operation.op === 'settle') this.settleFrees();
    else if (operation.op === 'expireSession') {
      this.state.sessions.delete(operation.session);
      this.state.replies.delete(operation.session);
    }
  }

  private tell(node: number | undefined): Outcome {
    if (node === undefined) return { code: 'OK' };
    return { code: 'OK', node, record: structuredClone(this.node(node)) };
  }

  private openSession(): Outcome {
    const session = this.state.nextSession++;
    this.state.sessions.set(session, 0);
    return { code: 'OK', session };
  }

  private reap(index: number): void {
    const node = this.node(index);
    if (node.state !== 'orphan') return;
    node.state = 'gone';
    if (this.state.reaper === 'prompt') return;
    this.state.toFree.add(index);
    if (this.state.reaper === 'slow') this.state.inFlight.add(index);
  }

  private retryFrees(): void {
    const { toFree, inFlight, reaper } = this.state;
    for (const index of [...toFree].filter((one) => !inFlight.has(one))) {
      if (reaper === 'prompt') toFree.delete(index);
      if (reaper === 'slow') inFlight.add(index);
    }
  }

  private settleFrees(): void {
    for (const index of this.state.inFlight) this.state.toFree.delete(index);
    this.state.inFlight.clear();
  }

  /** The process is gone, and with it what it alone knew. */
  die(): void {
    this.state.inFlight.clear();
  }

  /** The states through which an opening takes this one, this one first and the last one last. */
  openings(reaper: ReaperMode, blocksOutliveUs: boolean): MetaModel[] {
    const states: MetaModel[] = [this.copy()];
    const next = (): MetaModel => {
      const copy = (states.at(-1) ?? this).copy();
      states.push(copy);
      return copy;
    };
    next().state.reaper = reaper;
    for (const index of this.nodesBy((node) => node.state === 'orphan')) next().reap(index);
    if (reaper === 'prompt') {
      for (const index of [...this.state.toFree].sort((a, b) => a - b))
        next().state.toFree.delete(index);
    } else {
      next().retryFrees();
    }
    if (!blocksOutliveUs) {
      next().dropNames();
      next().dropRecords();
    }
    return states;
  }

  /** How many datasets an opening drops. */
  lostCount(blocksOutliveUs: boolean): number {
    return blocksOutliveUs ? 0 : this.nodesBy((node) => isLost(node)).length;
  }

  nodesBy(condition: (node: Node) => boolean): number[] {
    return this.state.nodes.flatMap((node, index) => (condition(node) ? [index] : []));
  }

  private dropNames(): void {
    const lost = new Set(this.nodesBy((node) => isLost(node)));
    for (const index of lost) this.node(index).state = 'nameless';
    for (const node of this.state.nodes) {
      if (node.state === 'gone') continue;
      for (const [name, entry] of [...node.entries])
        if (lost.has(entry.node)) this.dropEntry(node, name);
    }
  }

  private dropRecords(): void {
    for (const node of this.state.nodes) {
      if (node.state === 'nameless') node.state = 'gone';
      node.unborn = true;
    }
  }
}

function isLost(node: Node): boolean {
  return (
    node.kind === 'file' && !node.unborn && (node.state === 'named' || node.state === 'nameless')
  );
}

/** A state without anything in it but the root. */
export function emptyModel(): MetaModel {
  return new MetaModel();
}

export type { ModelState };
