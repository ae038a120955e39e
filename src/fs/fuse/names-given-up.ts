/**
 * Changes of names that were answered, since their callers have been killed, and are still under way. Whoever uses such a
 * name later finds it as it stays: no name comes or goes behind the back of those who tidy up after the killed.
 */
import type { OperationName } from './abi.ts';
import type { Request, RequestOf } from './request.ts';

/** As long as a request waits for a server: what takes longer may never end, and is waited for no more. */
const LIMIT_MS = 10_000;
/** Flags of renameat2(2). */
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;

/** A name in the directory that is node `parent`. */
export interface NameInNode {
  readonly parent: number;
  readonly name: Buffer;
}

/** What a request has to do with names. */
interface NamesUsed {
  readonly names: readonly NameInNode[];
  /** The node all of whose names are looked at. */
  readonly listed?: number;
  /** It depends on whether a directory is empty, whose node nobody has told. */
  readonly wantsEmpty?: boolean;
}

type UsedBy = { readonly [O in OperationName]?: (request: RequestOf<O>) => NamesUsed };

interface OneName {
  readonly header: { readonly nodeid: number };
  readonly names: readonly [Buffer, ...Buffer[]];
}

const one = ({ header, names: [name] }: OneName): NamesUsed => ({
  names: [{ parent: header.nodeid, name }],
});
const all = ({ header }: Pick<OneName, 'header'>): NamesUsed => ({
  names: [],
  listed: header.nodeid,
});

/** Changes of names. A file without a name (TMPFILE) gets one by LINK. */
const CHANGED_BY: UsedBy = {
  CREATE: one,
  LINK: one,
  MKDIR: one,
  MKNOD: one,
  RENAME: (request) => renamed(request, 0),
  RENAME2: (request) => renamed(request, request.input.flags),
  RMDIR: (request) => ({ ...one(request), wantsEmpty: true }),
  SYMLINK: one,
  UNLINK: one,
};

const USED_BY: UsedBy = {
  ...CHANGED_BY,
  LOOKUP: one,
  OPENDIR: all,
  READDIR: all,
  READDIRPLUS: all,
};

function renamed(
  { header, input, names }: RequestOf<'RENAME'> | RequestOf<'RENAME2'>,
  flags: number,
): NamesUsed {
  return {
    names: [
      { parent: header.nodeid, name: names[0] },
      { parent: input.newdir, name: names[1] },
    ],
    wantsEmpty: (flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)) === 0,
  };
}

function lookUp(table: UsedBy, request: Request): NamesUsed | undefined {
  if (request.op === 'UNKNOWN') return undefined;
  // The table's type pairs each name with its own request.
  const usedBy = table[request.op] as ((of: Request) => NamesUsed) | undefined;
  return usedBy?.(request);
}

/** The names that a request makes, removes or replaces; none for most requests. */
export function namesChangedBy(request: Request): readonly NameInNode[] {
  return lookUp(CHANGED_BY, request)?.names ?? [];
}

function overlap(used: NamesUsed, changed: readonly NameInNode[]): boolean {
  if (used.wantsEmpty === true) return true;
  return changed.some(
    ({ parent, name }) =>
      used.listed === parent ||
      used.names.some((each) => each.parent === parent && each.name.equals(name)),
  );
}

interface GivenUp {
  readonly names: readonly NameInNode[];
  readonly over: Promise<void>;
  readonly finish: () => void;
  readonly limit: NodeJS.Timeout;
}

export class NamesGivenUp {
  readonly #limitMs: number;
  /** By the number of the request. */
  readonly #givenUp = new Map<number, GivenUp>();

  constructor(limitMs = LIMIT_MS) {
    this.#limitMs = limitMs;
  }

  /** The request has been answered, and goes on. Nothing is to be remembered of one that changes no names. */
  add(request: Request): void {
    const names = namesChangedBy(request);
    if (names.length === 0) return;
    let finish: () => void = () => undefined;
    const over = new Promise<void>((resolve) => (finish = resolve));
    const limit = setTimeout(() => {
      this.end(request);
    }, this.#limitMs);
    limit.unref();
    this.#givenUp.set(request.header.uniqueKey, { names, over, finish, limit });
  }

  /** Nothing of the request is under way any more. Others than those that were added may be ended, too. */
  end({ header }: Request): void {
    const ended = this.#givenUp.get(header.uniqueKey);
    if (ended === undefined) return;
    this.#givenUp.delete(header.uniqueKey);
    clearTimeout(ended.limit);
    ended.finish();
  }

  /**
   * When a request that has come now finds its names as they stay: undefined for at once. Nobody waits for what has been
   * given up longer than the limit ago.
   */
  before(request: Request): Promise<unknown> | undefined {
    if (this.#givenUp.size === 0) return undefined;
    const used = lookUp(USED_BY, request);
    if (used === undefined) return undefined;
    const awaited = [...this.#givenUp.values()].filter(({ names }) => overlap(used, names));
    return awaited.length === 0 ? undefined : Promise.all(awaited.map(({ over }) => over));
  }

  /** Nobody is left who could wait. */
  clear(): void {
    for (const { limit } of this.#givenUp.values()) clearTimeout(limit);
    this.#givenUp.clear();
  }
}
