/** Extended attributes: which names and values may be, and block 0 as the place where they are. */
import type { BlockStore, XattrMode } from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import type { InodeRecord, MetaStore } from '../meta/store.ts';
import { type Task, wait } from '../task.ts';
import { mergeStat } from './attributes.ts';
import type { Caller } from './types.ts';

/** XATTR_NAME_MAX and XATTR_SIZE_MAX of linux/limits.h. */
const MAX_NAME_BYTES = 255;
const MAX_VALUE_BYTES = 65_536;

const TRUSTED = 'trusted.';
/** Namespaces of xattr(7) that we keep; `system.` (ACLs) is not among them. */
const NAMESPACES = ['user.', TRUSTED, 'security.'] as const;

const CAPABILITY = Buffer.from('security.capability');

export class ExtendedAttributes {
  readonly #meta: MetaStore;
  readonly #blocks: BlockStore;

  constructor(stores: { meta: MetaStore; blocks: BlockStore }) {
    this.#meta = stores.meta;
    this.#blocks = stores.blocks;
  }

  /** ENODATA; EOPNOTSUPP outside the namespaces that we keep, EINVAL for a namespace without a name. */
  *get(inode: InodeId, name: Buffer): Task<Buffer> {
    requireSupported(name);
    if (!(yield* this.#hasBlock0(inode))) throw new FsError('ENODATA');
    return yield* wait(this.#blocks.getXattr(inode, name));
  }

  /** EEXIST and ENODATA by `mode`; ERANGE (name), E2BIG (value), ENOSPC, EOPNOTSUPP, EINVAL. */
  *set(inode: InodeId, name: Buffer, value: Buffer, mode: XattrMode): Task<void> {
    requireSupported(name);
    if (name.length > MAX_NAME_BYTES) throw new FsError('ERANGE');
    if (value.length > MAX_VALUE_BYTES) throw new FsError('E2BIG');
    if (!(yield* this.#hasBlock0(inode))) {
      if (mode === 'replace') throw new FsError('ENODATA');
      yield* this.#createBlock0(inode);
    }
    yield* wait(this.#blocks.setXattr(inode, name, value, mode));
  }

  /**
   * Names, each followed by NUL, as listxattr(2) returns them. Those in `trusted.` are for root to see (xattr(7)):
   * the kernel refuses others their values, but leaves the list to us.
   */
  *list(inode: InodeId, caller: Pick<Caller, 'uid'>): Task<Buffer> {
    if (!(yield* this.#hasBlock0(inode))) return Buffer.alloc(0);
    const names = yield* wait(this.#blocks.listXattr(inode));
    const seen =
      caller.uid === 0
        ? names
        : names.filter((name) => !name.toString('latin1').startsWith(TRUSTED));
    const end = Buffer.of(0);
    return Buffer.concat(seen.flatMap((name) => [name, end]));
  }

  /** ENODATA, EOPNOTSUPP, EINVAL. */
  *remove(inode: InodeId, name: Buffer): Task<void> {
    requireSupported(name);
    if (!(yield* this.#hasBlock0(inode))) throw new FsError('ENODATA');
    yield* wait(this.#blocks.removeXattr(inode, name));
  }

  /** A file's capabilities go when its data or owner changes, as cap_inode_killpriv() has it. */
  *dropCapability({ inode }: InodeRecord): Task<void> {
    const names = yield* wait(this.#blocks.listXattr(inode));
    if (names.some((name) => name.equals(CAPABILITY))) {
      yield* wait(this.#blocks.removeXattr(inode, CAPABILITY));
    }
  }

  *#hasBlock0(inode: InodeId): Task<boolean> {
    return (yield* wait(this.#blocks.readInner(inode))) !== undefined;
  }

  *#createBlock0(inode: InodeId): Task<void> {
    const record = yield* wait(this.#meta.inode(inode));
    const { target } = record;
    yield* wait(
      this.#blocks.createInner(inode, {
        stat: mergeStat(record, undefined),
        ...(target !== undefined && { target }),
      }),
    );
    yield* wait(this.#meta.confirmBorn(inode));
  }
}

/** As xattr_resolve_name() in fs/xattr.c: a prefix alone is EINVAL, no known prefix at all EOPNOTSUPP. */
function requireSupported(name: Buffer): void {
  const text = name.toString('latin1');
  const prefix = NAMESPACES.find((each) => text.startsWith(each));
  if (prefix === undefined) throw new FsError('EOPNOTSUPP', `extended attribute ${text}`);
  if (text.length === prefix.length) throw new FsError('EINVAL', `extended attribute ${text}`);
}
