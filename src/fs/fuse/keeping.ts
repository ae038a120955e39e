/**
 * How long the kernel may keep what an answer tells it: for ever where no others can come, not at all where there are others,
 * and where there could be, as long as it is certain that there are none.
 */
import type { Aloneness } from '../../meta/store.ts';
import type { KnownStat } from '../types.ts';
import { ChangesUnderWay, type UnderWay } from './changes-under-way.ts';
import type { Request } from './request.ts';

/** What may be kept of one request's answer. Ask when the answer is as good as sent. */
export interface Keeping {
  /** In milliseconds, for names in the directory that is this node. */
  entryMs(parent: number): number;
  /** For the attributes of a node. */
  attributesMs(nodeid: number, stat: KnownStat): number;
}

/** A day. While this is the only mount, every change goes through this very kernel, so nothing can become stale. */
const LONE_MS = 86_400_000;

/**
 * The kernel counts from when it gets an answer, in ticks of 10 ms or less, and this process may be kept from sending what it
 * has made: what others do is to be seen nevertheless.
 */
const MARGIN_MS = 500;

/** For mounts of which there is but one. */
export const KEPT_FOR_LONG: Keeping = { entryMs: () => LONE_MS, attributesMs: () => LONE_MS };
export const NOT_KEPT: Keeping = { entryMs: () => 0, attributesMs: () => 0 };

/** What a mount's kernel may keep, while others may join. */
export class SharedKeeping {
  readonly #lone: Aloneness;
  readonly #changes = new ChangesUnderWay();

  constructor(lone: Aloneness) {
    this.#lone = lone;
  }

  /** The kernel's request has come. `end` is to be called when nothing of it is under way any more. */
  begin(request: Request): { keeping: Keeping; end: () => void } {
    const lone = this.#lone;
    const sinceMs = lone.nowMs();
    // Whatever is asked for shows that the mount is used, and makes the lease go on.
    lone.leftMs(sinceMs);
    const underWay = this.#changes.begin(request);
    return {
      keeping: new LeasedKeeping({ lone, changes: this.#changes, underWay, sinceMs }),
      end: () => {
        this.#changes.end(underWay);
      },
    };
  }
}

interface Asked {
  readonly lone: Aloneness;
  readonly changes: ChangesUnderWay;
  readonly underWay: UnderWay;
  /** When the request came. */
  readonly sinceMs: number;
}

class LeasedKeeping implements Keeping {
  readonly #asked: Asked;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  entryMs(parent: number): number {
    const { lone, changes, underWay, sinceMs } = this.#asked;
    const leftMs = lone.leftMs(sinceMs) - MARGIN_MS;
    return leftMs > 0 && changes.isUnchanged(parent, underWay) ? leftMs : 0;
  }

  /** What block 0 decides on may be changed by a mount that has been given up, and does not know it yet. */
  attributesMs(nodeid: number, stat: KnownStat): number {
    return stat.isUnsettled === true ? 0 : this.entryMs(nodeid);
  }
}
