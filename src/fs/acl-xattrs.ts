/**
 * POSIX ACLs as the extended attributes `system.posix_acl_access` and `system.posix_acl_default`. The kernel enforces
 * them; they are part of the outer record, where an ACL and the mode change together.
 */
import { FsError } from '../errno.ts';
import { ACL_KINDS, type AclKind } from '../meta/acl.ts';
import type { InodeRecord } from '../meta/store.ts';

const PREFIX = 'system.posix_acl_';

/** The ACL that an extended attribute stands for; undefined for any other attribute. */
export function aclKindOf(name: Buffer): AclKind | undefined {
  const text = name.toString('latin1');
  return ACL_KINDS.find((kind) => text === PREFIX + kind);
}

/** ENODATA where the mode says all. */
export function aclOf(record: Pick<InodeRecord, 'acls'>, kind: AclKind): Buffer {
  const acl = record.acls?.[kind];
  if (acl === undefined) throw new FsError('ENODATA');
  return acl;
}

/** Names of the attributes that `record` has. */
export function aclNames({ acls }: Pick<InodeRecord, 'acls'>): Buffer[] {
  return ACL_KINDS.filter((kind) => acls?.[kind] !== undefined).map((kind) =>
    Buffer.from(PREFIX + kind),
  );
}
