/**
 * Which inodes this mount itself is changing. The kernel drops attributes that are older than some of its changes, not than
 * all of them (`fuse_dir_changed` and `fuse_update_ctime` mark what it has as old, and an answer that was under way meanwhile
 * makes it new again). Where answers come from other nodes, in any order, one that overlaps with a change must not be kept.
 */
import type { OperationName } from './abi.ts';
import type { Request, RequestOf } from './request.ts';

/** Inodes share a place, which makes some answers less good than they could be, and none wrong. */
const PLACES = 1024;

/** Nodes that a request may change, or all: those that are named by their names. */
type Changed = readonly number[] | 'any';

type ChangedBy = { readonly [O in OperationName]?: (request: RequestOf<O>) => Changed };

const node = ({ header }: { header: { nodeid: number } }): Changed => [header.nodeid];
const any = (): Changed => 'any';

/** Reading moves access times. */
const CHANGED_BY: ChangedBy = {
  SETATTR: node,
  READLINK: node,
  SYMLINK: node,
  MKNOD: node,
  MKDIR: node,
  UNLINK: any,
  RMDIR: any,
  RENAME: any,
  RENAME2: any,
  LINK: ({ header, input }) => [header.nodeid, input.oldnodeid],
  CREATE: node,
  TMPFILE: node,
  OPEN: node,
  READ: node,
  WRITE: node,
  FALLOCATE: node,
  COPY_FILE_RANGE: ({ header, input }) => [header.nodeid, input.nodeid_out],
  COPY_FILE_RANGE_64: ({ header, input }) => [header.nodeid, input.nodeid_out],
  READDIR: node,
  READDIRPLUS: node,
  SETXATTR: node,
  REMOVEXATTR: node,
};

/** A request that is under way. */
export interface UnderWay {
  /** Changes that begin or end later overlap with it. */
  readonly since: number;
  /** Places that it changes itself. */
  readonly places: readonly number[];
  readonly changesAny: boolean;
}

export class ChangesUnderWay {
  /** Counts beginnings and ends of changes. */
  #count = 0;
  /** Of each place: how many changes are under way, and when the last one began or ended. */
  readonly #running = new Uint32Array(PLACES);
  readonly #last = new Float64Array(PLACES);
  #anyRunning = 0;
  #anyLast = 0;

  /** To be ended, whatever becomes of the request. */
  begin(request: Request): UnderWay {
    if (request.op === 'UNKNOWN') return { since: this.#count, places: [], changesAny: false };
    // The table's type pairs each name with its own request.
    const changedBy = CHANGED_BY[request.op] as ((of: Request) => Changed) | undefined;
    const changed = changedBy?.(request) ?? [];
    const changesAny = changed === 'any';
    const places = changesAny ? [] : changed.map(placeOf);
    const since = changesAny || places.length > 0 ? ++this.#count : this.#count;
    for (const place of places) this.#mark(place, 1);
    if (changesAny) this.#markAny(1);
    return { since, places, changesAny };
  }

  /** What the request changes has changed, or never will. */
  end({ places, changesAny }: UnderWay): void {
    this.#count++;
    for (const place of places) this.#mark(place, -1);
    if (changesAny) this.#markAny(-1);
  }

  #mark(place: number, by: 1 | -1): void {
    this.#running[place] = (this.#running[place] ?? 0) + by;
    this.#last[place] = this.#count;
  }

  #markAny(by: 1 | -1): void {
    this.#anyRunning += by;
    this.#anyLast = this.#count;
  }

  /** Whether no other request has changed the node since this one began, or is changing it. */
  isUnchanged(nodeid: number, { since, places, changesAny }: UnderWay): boolean {
    if (this.#anyRunning > (changesAny ? 1 : 0) || this.#anyLast > since) return false;
    const place = placeOf(nodeid);
    const own = places.filter((each) => each === place).length;
    return (this.#running[place] ?? 0) <= own && (this.#last[place] ?? 0) <= since;
  }
}

/** Numbers of different servers differ in their high bits alone. */
function placeOf(nodeid: number): number {
  return (nodeid + Math.floor(nodeid / 2 ** 40)) % PLACES;
}
