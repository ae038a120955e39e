/**
 * What decides on access to an inode, its mode bits and its ACLs: how they change together, and what a new inode has of
 * the directory that it is made in.
 */
import { FsError } from '../errno.ts';
import { FileType, fileTypeOf, PERMISSION_MASK, S_ISGID, S_ISUID, S_IXGRP } from '../stat.ts';
import {
  type Acl,
  type Acls,
  checkAcl,
  decodeAcl,
  encodeAcl,
  isMinimal,
  limitedTo,
  MAX_ACL_BYTES,
  permissionsOf,
  withMode,
} from './acl.ts';
import type { AclChange, AttributeChange, NewInode } from './store.ts';

const NINE_BITS = 0o777;

/** The part of an inode that is kept here. */
interface Guarded {
  mode: number;
  gid: number;
  acls?: Acls | undefined;
}

/** What a new inode starts with, once it is known where. */
export type InheritedInode = Omit<NewInode, 'umask'> & { acls?: Acls };

/**
 * As inode_init_owner() in fs/inode.c, a set-gid directory hands on its group, and the bit to directories; as
 * posix_acl_create() in fs/posix_acl.c, a default ACL takes the umask's place.
 */
export function inherit(spec: NewInode, parent: Guarded): InheritedInode {
  const { umask = 0, ...rest } = spec;
  const born: InheritedInode = rest;
  const isDirectory = fileTypeOf(spec.mode) === FileType.DIRECTORY;
  if ((parent.mode & S_ISGID) !== 0) {
    born.gid = parent.gid;
    if (isDirectory) born.mode |= S_ISGID;
  }
  if (fileTypeOf(spec.mode) === FileType.SYMLINK) return born;
  const handedOn = parent.acls?.default;
  if (handedOn === undefined) {
    born.mode &= ~(umask & NINE_BITS);
    return born;
  }
  const acl = limitedTo(decodeAcl(handedOn), born.mode);
  born.mode = (born.mode & ~NINE_BITS) | permissionsOf(acl);
  const acls: Acls = {};
  if (!isMinimal(acl)) acls.access = encodeAcl(acl);
  if (isDirectory) acls.default = handedOn;
  if (!isEmpty(acls)) born.acls = acls;
  return born;
}

/** Applies what a change says of mode and ACLs, or throws before it has applied any: see {@link AclChange}. */
export function changePermissions(record: Guarded, change: AttributeChange): void {
  const next = change.acl === undefined ? undefined : checkedAcl(record, change.acl);
  if (change.permissions !== undefined) {
    setMode(record, fileTypeOf(record.mode) | (change.permissions & PERMISSION_MASK));
  }
  // As setattr_should_drop_sgid() in fs/attr.c: set-gid without group execution means something else.
  if (change.dropPrivilegeBits === true && fileTypeOf(record.mode) !== FileType.DIRECTORY) {
    const drop = (record.mode & S_IXGRP) === 0 ? S_ISUID : S_ISUID | S_ISGID;
    record.mode &= ~drop;
  }
  if (change.acl !== undefined) setAcl(record, change.acl, next);
}

function setMode(record: Guarded, mode: number): void {
  record.mode = mode;
  const access = record.acls?.access;
  if (access === undefined) return;
  keep(record, { ...record.acls, access: encodeAcl(withMode(decodeAcl(access), mode)) });
}

/** The new ACL, valid; undefined if it is to go. */
function checkedAcl(record: Guarded, { kind, value }: AclChange): Acl | undefined {
  if (fileTypeOf(record.mode) === FileType.SYMLINK) {
    throw new FsError('EOPNOTSUPP', 'a symlink has no ACL');
  }
  if (value === undefined) return undefined;
  if (value.length > MAX_ACL_BYTES) throw new FsError('E2BIG', `ACL of ${value.length} bytes`);
  const acl = decodeAcl(value);
  if (acl.length === 0) return undefined;
  if (kind === 'default' && fileTypeOf(record.mode) !== FileType.DIRECTORY) {
    throw new FsError('EACCES', 'only a directory has a default ACL');
  }
  checkAcl(acl);
  return acl;
}

function setAcl(record: Guarded, { kind, dropSetGid }: AclChange, acl: Acl | undefined): void {
  if (acl === undefined) {
    keep(record, { ...record.acls, [kind]: undefined });
    return;
  }
  if (kind === 'default') {
    keep(record, { ...record.acls, default: encodeAcl(acl) });
    return;
  }
  record.mode = (record.mode & ~NINE_BITS) | permissionsOf(acl);
  if (dropSetGid === true) record.mode &= ~S_ISGID;
  keep(record, { ...record.acls, access: isMinimal(acl) ? undefined : encodeAcl(acl) });
}

function isEmpty(acls: Acls): boolean {
  return acls.access === undefined && acls.default === undefined;
}

function keep(record: Guarded, acls: Acls): void {
  record.acls = isEmpty(acls) ? undefined : acls;
}
