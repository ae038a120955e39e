/** Extended attributes: which names and values may be, and block 0 as the place where they are. */
import type { BlockStore, XattrMode } from '../blocks/store.ts';
import { FsError } from '../errno.ts';
import type { InodeId } from '../ids.ts';
import type { AclChange, InodeRecord, MetaStore } from '../meta/store.ts';
import { type Task, wait } from '../task.ts';
import { aclKindOf, aclNames, aclOf } from './acl-xattrs.ts';
import { mergeStat } from './attributes.ts';
import { changeLayout, type FindOpenFile } from './layout-change.ts';
import { layoutField } from './layout-xattrs.ts';
import type { Caller } from './types.ts';

/** XATTR_NAME_MAX and XATTR_SIZE_MAX of linux/limits.h. */
const MAX_NAME_BYTES = 255;
const MAX_VALUE_BYTES = 65_536;

const TRUSTED = 'trusted.';
/** Namespaces of xattr(7) that we keep; of `system.` there are ACLs alone. */
const NAMESPACES = ['user.', TRUSTED, 'security.'] as const;

const CAPABILITY = Buffer.from('security.capability');

export interface ExtendedAttributesOptions {
  meta: MetaStore;
  blocks: BlockStore;
  openFile: FindOpenFile;
  /** How an inode's ACLs are changed; EOPNOTSUPP for all that asks for ACLs if absent. */
  changeAcl: ((inode: InodeId, change: AclChange) => Task<unknown>) | undefined;
}

export class ExtendedAttributes {
  readonly #meta: MetaStore;
  readonly #blocks: BlockStore;
  readonly #openFile: FindOpenFile;
  readonly #changeAcl: ExtendedAttributesOptions['changeAcl'];

  constructor({ meta, blocks, openFile, changeAcl }: ExtendedAttributesOptions) {
    this.#meta = meta;
    this.#blocks = blocks;
    this.#openFile = openFile;
    this.#changeAcl = changeAcl;
  }

  /** ENODATA; EOPNOTSUPP outside the namespaces that we keep, EINVAL for a namespace without a name. */
  *get(inode: InodeId, name: Buffer): Task<Buffer> {
    const acl = this.#changeAcl === undefined ? undefined : aclKindOf(name);
    if (acl === undefined) requireSupported(name);
    const record = yield* wait(this.#meta.inode(inode));
    if (acl !== undefined) return aclOf(record, acl);
    const field = layoutField(name);
    if (field !== undefined) return field.read(record.layout);
    if (!mayHaveBlock0(record)) throw new FsError('ENODATA');
    return yield* wait(this.#blocks.getXattr(record, name));
  }

  /**
   * EEXIST and ENODATA by `mode`, which counts for nothing with ACLs, as in do_setxattr() in fs/xattr.c; ERANGE (name),
   * E2BIG (value), ENOSPC, EOPNOTSUPP, EINVAL, EACCES. The layout's attributes always exist; they are EEXIST on a file
   * with data. `dropSetGid`: an access ACL takes set-gid away.
   */
  *set(
    inode: InodeId,
    name: Buffer,
    value: Buffer,
    mode: XattrMode,
    dropSetGid = false,
  ): Task<void> {
    const kind = aclKindOf(name);
    if (kind !== undefined && this.#changeAcl !== undefined) {
      yield* this.#changeAcl(inode, { kind, value, dropSetGid });
      return;
    }
    requireSupported(name);
    if (name.length > MAX_NAME_BYTES) throw new FsError('ERANGE');
    if (value.length > MAX_VALUE_BYTES) throw new FsError('E2BIG');
    const field = layoutField(name);
    if (field !== undefined) {
      if (mode === 'create') throw new FsError('EEXIST');
      const stores = { meta: this.#meta, openFile: this.#openFile };
      yield* changeLayout(stores, inode, field.parse(value));
      return;
    }
    const record = yield* wait(this.#meta.inode(inode));
    if (mode === 'replace' && !mayHaveBlock0(record)) throw new FsError('ENODATA');
    if (record.unborn) yield* this.#createBlock0(record);
    yield* wait(this.#blocks.setXattr(record, name, value, mode));
    yield* this.#moveCtime(record);
  }

  /**
   * Names, each followed by NUL, as listxattr(2) returns them. Those in `trusted.` are for root to see (xattr(7)):
   * the kernel refuses others their values, but leaves the list to us. The layout's are not listed: what copies
   * attributes would try to set them on files with data.
   */
  *list(inode: InodeId, caller: Pick<Caller, 'uid'>): Task<Buffer> {
    const record = yield* wait(this.#meta.inode(inode));
    const kept = mayHaveBlock0(record) ? yield* wait(this.#blocks.listXattr(record)) : [];
    const names = this.#changeAcl === undefined ? kept : [...aclNames(record), ...kept];
    const seen =
      caller.uid === 0
        ? names
        : names.filter((name) => !name.toString('latin1').startsWith(TRUSTED));
    const end = Buffer.of(0);
    return Buffer.concat(seen.flatMap((name) => [name, end]));
  }

  /** ENODATA, which an ACL that is not there is not, as on ext4; EOPNOTSUPP, EINVAL; EPERM for the layout's. */
  *remove(inode: InodeId, name: Buffer): Task<void> {
    const kind = aclKindOf(name);
    if (kind !== undefined && this.#changeAcl !== undefined) {
      yield* this.#changeAcl(inode, { kind });
      return;
    }
    requireSupported(name);
    if (layoutField(name) !== undefined) throw new FsError('EPERM', 'every dataset has a layout');
    const record = yield* wait(this.#meta.inode(inode));
    if (!mayHaveBlock0(record)) throw new FsError('ENODATA');
    yield* wait(this.#blocks.removeXattr(record, name));
    yield* this.#moveCtime(record);
  }

  /** A file's capabilities go when its data or owner changes, as cap_inode_killpriv() has it. */
  *dropCapability(record: InodeRecord): Task<void> {
    if (!mayHaveBlock0(record)) return;
    const names = yield* wait(this.#blocks.listXattr(record));
    if (names.some((name) => name.equals(CAPABILITY))) {
      yield* wait(this.#blocks.removeXattr(record, CAPABILITY));
    }
  }

  *#createBlock0(record: InodeRecord): Task<void> {
    const { target } = record;
    yield* wait(
      this.#blocks.createInner(record, {
        stat: mergeStat(record, undefined),
        ...(target !== undefined && { target }),
      }),
    );
    yield* wait(this.#meta.confirmBorn(record.inode));
  }

  /** Block 0 knows of the change; the record, which answers for all but files that are written, has to hear of it. */
  *#moveCtime(record: InodeRecord): Task<void> {
    yield* wait(this.#meta.setAttributes(record.inode, {}));
  }
}

/** A file that is written may have a block 0 before its record says so. */
function mayHaveBlock0(record: InodeRecord): boolean {
  return !record.unborn || record.unsettled;
}

/** As xattr_resolve_name() in fs/xattr.c: a prefix alone is EINVAL, no known prefix at all EOPNOTSUPP. */
function requireSupported(name: Buffer): void {
  const text = name.toString('latin1');
  const prefix = NAMESPACES.find((each) => text.startsWith(each));
  if (prefix === undefined) throw new FsError('EOPNOTSUPP', `extended attribute ${text}`);
  if (text.length === prefix.length) throw new FsError('EINVAL', `extended attribute ${text}`);
}
