/**
 * Who holds which keys of this server, in memory. A prepared transaction's holds are kept in the database, too, and
 * entered again after a restart; a reservation's are not. A key has many readers or one writer.
 */
import type { KeyRange } from '../kv.ts';

/** Reserved: others do not write. Prepared: others do not see what it writes, either. */
export type HoldPhase = 'reserved' | 'prepared';

/** Keys that a transaction reads and writes here. */
export interface Holds {
  reads: readonly Buffer[];
  ranges: readonly KeyRange[];
  writes: readonly Buffer[];
}

interface TextRange {
  start: string;
  end: string;
}

interface Holder {
  readonly name: string;
  readonly phase: HoldPhase;
  /** Also those that are written. */
  readonly keys: ReadonlySet<string>;
  readonly written: ReadonlySet<string>;
  readonly ranges: readonly TextRange[];
  readonly released: Promise<void>;
  readonly release: () => void;
}

/** As text of one character per byte, keys sort as their bytes do. */
function text(key: Buffer): string {
  return key.toString('latin1');
}

function textRange(range: KeyRange): TextRange {
  return { start: text(range.start), end: text(range.end) };
}

function within(range: TextRange, key: string): boolean {
  return range.start <= key && key < range.end;
}

export class LockTable {
  readonly #holders = new Map<string, Holder>();
  readonly #byKey = new Map<string, Set<Holder>>();

  /** Nobody holds anything, as is the case nearly always. */
  get isEmpty(): boolean {
    return this.#holders.size === 0;
  }

  /** Names of all holders. */
  names(): string[] {
    return [...this.#holders.keys()];
  }

  phaseOf(name: string): HoldPhase | undefined {
    return this.#holders.get(name)?.phase;
  }

  /** Replaces what the transaction held before. */
  take(name: string, phase: HoldPhase, holds: Holds): void {
    const before = this.#holders.get(name);
    this.#drop(name);
    let release = before?.release;
    let released = before?.released;
    if (release === undefined || released === undefined) {
      released = new Promise<void>((resolve) => {
        release = resolve;
      });
    }
    const written = new Set(holds.writes.map(text));
    const holder: Holder = {
      name,
      phase,
      keys: new Set([...holds.reads.map(text), ...written]),
      written,
      ranges: holds.ranges.map(textRange),
      released,
      release: release ?? (() => undefined),
    };
    this.#holders.set(name, holder);
    for (const key of holder.keys) {
      const others = this.#byKey.get(key);
      if (others === undefined) this.#byKey.set(key, new Set([holder]));
      else others.add(holder);
    }
  }

  release(name: string): void {
    const holder = this.#holders.get(name);
    this.#drop(name);
    holder?.release();
  }

  #drop(name: string): void {
    const holder = this.#holders.get(name);
    if (holder === undefined) return;
    this.#holders.delete(name);
    for (const key of holder.keys) {
      const others = this.#byKey.get(key);
      others?.delete(holder);
      if (others?.size === 0) this.#byKey.delete(key);
    }
  }

  /** Resolves when the transaction holds nothing any more. */
  whenReleased(name: string): Promise<void> {
    return this.#holders.get(name)?.released ?? Promise.resolve();
  }

  /** Who keeps `me` from reading a key. */
  blockerOfRead(key: Buffer, me?: string): string | undefined {
    const name = text(key);
    for (const holder of this.#byKey.get(name) ?? []) {
      if (holder.name !== me && holder.phase === 'prepared' && holder.written.has(name)) {
        return holder.name;
      }
    }
    return undefined;
  }

  /** Who keeps `me` from reading a range. */
  blockerOfRange(range: KeyRange, me?: string): string | undefined {
    return this.#writerWithin(textRange(range), me, ['prepared']);
  }

  #writerWithin(
    range: TextRange,
    me: string | undefined,
    phases: readonly HoldPhase[],
  ): string | undefined {
    for (const holder of this.#holders.values()) {
      if (holder.name === me || !phases.includes(holder.phase)) continue;
      for (const key of holder.written) if (within(range, key)) return holder.name;
    }
    return undefined;
  }

  /** Who keeps `me` from writing a key. */
  blockerOfWrite(key: Buffer, me?: string): string | undefined {
    const name = text(key);
    for (const holder of this.#byKey.get(name) ?? []) {
      if (holder.name !== me) return holder.name;
    }
    for (const holder of this.#holders.values()) {
      if (holder.name !== me && holder.ranges.some((range) => within(range, name))) {
        return holder.name;
      }
    }
    return undefined;
  }

  /** Who keeps `me` from holding all of these. */
  blockerOf(holds: Holds, me: string): string | undefined {
    for (const key of holds.reads) {
      const name = text(key);
      for (const holder of this.#byKey.get(name) ?? []) {
        if (holder.name !== me && holder.written.has(name)) return holder.name;
      }
    }
    for (const range of holds.ranges) {
      const blocker = this.#writerWithin(textRange(range), me, ['prepared', 'reserved']);
      if (blocker !== undefined) return blocker;
    }
    for (const key of holds.writes) {
      const blocker = this.blockerOfWrite(key, me);
      if (blocker !== undefined) return blocker;
    }
    return undefined;
  }
}
