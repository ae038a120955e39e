/**
 * POSIX access control lists: their form as extended attributes, what makes one valid, and how it and the mode bits follow
 * each other. Pure. The rules are those of POSIX 1003.1e draft 17 as acl(5) tells them.
 */
import { ByteReader, ByteWriter } from '../bytes.ts';
import { FsError } from '../errno.ts';

/** Whom an entry is about; the values are those of `linux/posix_acl.h`. */
export const AclTag = {
  OWNER: 0x01,
  USER: 0x02,
  GROUP: 0x04,
  NAMED_GROUP: 0x08,
  MASK: 0x10,
  OTHERS: 0x20,
} as const;
export type AclTag = (typeof AclTag)[keyof typeof AclTag];

export interface AclEntry {
  readonly tag: AclTag;
  /** Three bits: 4 read, 2 write, 1 execute. */
  readonly permissions: number;
  /** User or group of a named entry; {@link NO_ID} otherwise. */
  readonly id: number;
}

/** Entries in their order; an empty list is no ACL. */
export type Acl = readonly AclEntry[];

/** The access ACL decides on an inode, the default ACL is what a directory hands on; as extended attributes. */
export interface Acls {
  access?: Buffer | undefined;
  default?: Buffer | undefined;
}

/** Which of an inode's two lists. */
export type AclKind = keyof Acls;
export const ACL_KINDS = ['access', 'default'] as const satisfies readonly AclKind[];

/** What an entry has as id that names nobody (ACL_UNDEFINED_ID). */
export const NO_ID = 0xffff_ffff;

/** The kernel reads an ACL into one page (fs/fuse/acl.c), which has this size at least. */
export const MAX_ACL_BYTES = 4096;

/** POSIX_ACL_XATTR_VERSION of `linux/posix_acl_xattr.h`. */
const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;

const ALL = 7;
const TAGS: readonly number[] = Object.values(AclTag);

function invalid(what: string): FsError {
  return new FsError('EINVAL', `not an ACL: ${what}`);
}

/** Reads the form that extended attributes have. EINVAL, and EOPNOTSUPP for another version of it. */
export function decodeAcl(bytes: Buffer): Acl {
  if (bytes.length < HEADER_BYTES || (bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) {
    throw invalid(`${bytes.length} bytes`);
  }
  const reader = new ByteReader(bytes);
  const version = reader.u32();
  if (version !== VERSION) throw new FsError('EOPNOTSUPP', `ACL of version ${version}`);
  const acl: AclEntry[] = [];
  while (reader.remaining > 0) {
    const [tag, permissions, id] = [reader.u16(), reader.u16(), reader.u32()];
    if (!TAGS.includes(tag)) throw invalid(`tag ${tag}`);
    acl.push({ tag: tag as AclTag, permissions, id: isNamed(tag) ? id : NO_ID });
  }
  return acl;
}

/** The inverse of {@link decodeAcl}. */
export function encodeAcl(acl: Acl): Buffer {
  const writer = new ByteWriter(HEADER_BYTES + acl.length * ENTRY_BYTES).u32(VERSION);
  for (const { tag, permissions, id } of acl) writer.u16(tag).u16(permissions).u32(id);
  return writer.copy();
}

function isNamed(tag: number): boolean {
  return tag === AclTag.USER || tag === AclTag.NAMED_GROUP;
}

/**
 * EINVAL unless the list has one entry each for owner, group and others, a mask if it names anybody, and its entries
 * in the order of their tags.
 */
export function checkAcl(acl: Acl): void {
  let before = 0;
  for (const { tag, permissions, id } of acl) {
    if ((permissions & ~ALL) !== 0) throw invalid(`permissions ${permissions}`);
    if (isNamed(tag) && id === NO_ID) throw invalid('an entry that names nobody');
    if (tag < before || (tag === before && !isNamed(tag))) throw invalid('the order of entries');
    before = tag;
  }
  for (const tag of [AclTag.OWNER, AclTag.GROUP, AclTag.OTHERS]) {
    if (entryOf(acl, tag) === undefined) throw invalid(`no entry of tag ${tag}`);
  }
  if (acl.some(({ tag }) => isNamed(tag)) && entryOf(acl, AclTag.MASK) === undefined) {
    throw invalid('named entries without a mask');
  }
}

function entryOf(acl: Acl, tag: AclTag): AclEntry | undefined {
  return acl.find((entry) => entry.tag === tag);
}

/** The entry that the three bits of the group class stand for: the mask if there is one. */
function groupClass(acl: Acl): AclTag {
  return entryOf(acl, AclTag.MASK) === undefined ? AclTag.GROUP : AclTag.MASK;
}

/** Which of the mode's bits an entry stands for, as a shift; undefined for one that the mode does not show. */
function shiftOf(tag: AclTag, group: AclTag): number | undefined {
  if (tag === AclTag.OWNER) return 6;
  if (tag === group) return 3;
  return tag === AclTag.OTHERS ? 0 : undefined;
}

/** The nine permission bits that a valid ACL shows. */
export function permissionsOf(acl: Acl): number {
  const group = groupClass(acl);
  return acl.reduce((bits, { tag, permissions }) => {
    const shift = shiftOf(tag, group);
    return shift === undefined ? bits : bits | (permissions << shift);
  }, 0);
}

/** Whether the mode bits say all that a valid ACL says. */
export function isMinimal(acl: Acl): boolean {
  return acl.every(({ tag }) => !isNamed(tag) && tag !== AclTag.MASK);
}

/** The ACL after a chmod to `mode`. */
export function withMode(acl: Acl, mode: number): Acl {
  const group = groupClass(acl);
  return acl.map((entry) => {
    const shift = shiftOf(entry.tag, group);
    return shift === undefined ? entry : { ...entry, permissions: (mode >> shift) & ALL };
  });
}

/** The access ACL that a default ACL gives to what is created with `mode`: nothing is allowed that the mode does not ask. */
export function limitedTo(acl: Acl, mode: number): Acl {
  return withMode(acl, permissionsOf(acl) & mode);
}
