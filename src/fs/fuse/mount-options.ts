/**
 * From a {@link MountRequest} to what mount(2) and fusermount take. Pure; the one place that knows which generic
 * options exist.
 */
import type { MountRequest } from '../engine.ts';
import { MountError } from './mount-error.ts';

/** Bits of `linux/mount.h`. */
export const MountFlag = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  DIRSYNC: 128,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const;

interface OptionEffect {
  readonly set?: number;
  readonly clear?: number;
}

/** Options of mount(8) that do not depend on the file system. A later one overrides an earlier one. */
const GENERIC_OPTIONS: Readonly<Record<string, OptionEffect>> = {
  defaults: {},
  ro: { set: MountFlag.RDONLY },
  rw: { clear: MountFlag.RDONLY },
  nosuid: { set: MountFlag.NOSUID },
  suid: { clear: MountFlag.NOSUID },
  nodev: { set: MountFlag.NODEV },
  dev: { clear: MountFlag.NODEV },
  noexec: { set: MountFlag.NOEXEC },
  exec: { clear: MountFlag.NOEXEC },
  sync: { set: MountFlag.SYNCHRONOUS },
  async: { clear: MountFlag.SYNCHRONOUS },
  dirsync: { set: MountFlag.DIRSYNC },
  nosymfollow: { set: MountFlag.NOSYMFOLLOW },
  symfollow: { clear: MountFlag.NOSYMFOLLOW },
  noatime: { set: MountFlag.NOATIME },
  atime: { clear: MountFlag.NOATIME },
  nodiratime: { set: MountFlag.NODIRATIME },
  diratime: { clear: MountFlag.NODIRATIME },
  relatime: { set: MountFlag.RELATIME },
  norelatime: { clear: MountFlag.RELATIME },
  strictatime: { set: MountFlag.STRICTATIME },
  nostrictatime: { clear: MountFlag.STRICTATIME },
  lazytime: { set: MountFlag.LAZYTIME },
  nolazytime: { clear: MountFlag.LAZYTIME },
};

/** Names that {@link MountRequest.genericOptions} may hold. */
export const GENERIC_OPTION_NAMES: readonly string[] = Object.keys(GENERIC_OPTIONS);

/** Flags for mount(2). Throws {@link MountError} naming an option that does not exist. */
export function mountFlags(request: Pick<MountRequest, 'readOnly' | 'genericOptions'>): number {
  let flags = 0;
  for (const name of request.genericOptions) {
    const effect = Object.hasOwn(GENERIC_OPTIONS, name) ? GENERIC_OPTIONS[name] : undefined;
    if (effect === undefined) throw new MountError(`Unknown mount option: ${name}`);
    flags = (flags | (effect.set ?? 0)) & ~(effect.clear ?? 0);
  }
  return request.readOnly ? flags | MountFlag.RDONLY : flags;
}

type FuseOptions = Pick<MountRequest, 'allowOther' | 'defaultPermissions'>;

function fuseOptions(request: FuseOptions, maxReadBytes: number): string[] {
  const options = [`max_read=${maxReadBytes}`];
  if (request.defaultPermissions) options.push('default_permissions');
  if (request.allowOther) options.push('allow_other');
  return options;
}

/** The data string that the kernel's FUSE driver parses (fuse_parse_param()). */
export function mountData(
  request: FuseOptions,
  connection: { fd: number; uid: number; gid: number; maxReadBytes: number },
): string {
  const { fd, uid, gid, maxReadBytes } = connection;
  // rootmode is octal: a directory.
  const fixed = [`fd=${fd}`, 'rootmode=40000', `user_id=${uid}`, `group_id=${gid}`];
  return [...fixed, ...fuseOptions(request, maxReadBytes)].join(',');
}

/** The argument of fusermount's `-o`. Throws {@link MountError} naming an option that does not exist. */
export function fusermountOptions(request: MountRequest, maxReadBytes: number): string {
  mountFlags(request);
  // fusermount ends fsname at a comma unless a backslash stands before it.
  const source = request.source.replace(/[\\,]/g, '\\$&');
  const generic = request.genericOptions.filter((name) => name !== 'defaults');
  if (request.readOnly) generic.push('ro');
  return [
    `fsname=${source}`,
    'subtype=imssfs',
    ...generic,
    ...fuseOptions(request, maxReadBytes),
  ].join(',');
}
