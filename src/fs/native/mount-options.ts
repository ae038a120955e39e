/**
 * From a {@link MountRequest} to what libfuse 2.9 takes. It fails on an option that it does not know only after it has
 * mounted, and the package cuts off what is too long, so everything is checked here. Pure.
 */
import type { MountRequest } from '../engine.ts';
import { MountError } from '../fuse/mount-error.ts';

/** Generic options that libfuse passes on to the kernel. */
const GENERIC_OPTIONS = new Set([
  ...['suid', 'nosuid', 'dev', 'nodev', 'exec', 'noexec'],
  ...['atime', 'noatime', 'sync', 'async', 'dirsync'],
]);
/** Hold anyway on a new mount, and unknown to libfuse. */
const IMPLIED = new Set(['defaults', 'relatime', 'diratime', 'symfollow', 'nolazytime']);

/** The C half has room for so many bytes and a NUL, "-o" included. */
const MAX_OPTION_BYTES = 1023;

/**
 * Names change only through this mount, so the kernel may remember where they lead. Attributes it must ask for each
 * time: libfuse gives each name of a file a node of its own, and a change through one name is not told to the others.
 */
const CACHE_OPTIONS = ['entry_timeout=86400', 'negative_timeout=0', 'attr_timeout=0'];

/**
 * libfuse ends a thread as soon as more than ten are idle, and the package leaks what it knew of it. Six requests in
 * the background (read-ahead and the like), where the kernel's default is twelve, leave room for three callers.
 */
const BACKGROUND_OPTIONS = ['max_background=6', 'congestion_threshold=6'];

/** Inode numbers are ours; writes come in 128 KiB instead of 4; set-user-ID programs and devices have no effect. */
const FIXED_OPTIONS = ['use_ino', 'big_writes', 'nosuid', 'nodev'];

/**
 * libfuse's argument: `-o` and the list. libfuse refuses a folder that is not empty unless told otherwise; with
 * `mayMount` it calls mount(2) itself, without it fusermount3, which does not know the word. Throws {@link MountError}.
 */
export function libfuseOptions(
  request: Omit<MountRequest, 'mountPoint'>,
  mayMount: boolean,
): string {
  if (request.allowOther) {
    throw new MountError(
      'The engine fuse-native does not learn who calls, and so lets in nobody but you: leave out allow_other, or use --engine kernel',
    );
  }
  if (request.acl) {
    throw new MountError(
      'The engine fuse-native knows no ACLs: leave out acl, or use --engine kernel',
    );
  }
  const generic = request.genericOptions.filter((name) => !IMPLIED.has(name));
  const unknown = generic.find((name) => !GENERIC_OPTIONS.has(name));
  if (unknown !== undefined) {
    throw new MountError(
      `The engine fuse-native cannot pass the mount option ${unknown} to the kernel: leave it out, or use --engine kernel`,
    );
  }
  const words = [
    `fsname=${request.source.replace(/[\\,]/g, '\\$&')}`,
    'subtype=imssfs',
    ...FIXED_OPTIONS,
    ...CACHE_OPTIONS,
    ...BACKGROUND_OPTIONS,
    ...generic,
  ];
  if (request.defaultPermissions) words.push('default_permissions');
  if (request.readOnly) words.push('ro');
  if (mayMount) words.push('nonempty');
  const text = `-o${words.join(',')}`;
  const lengthBytes = Buffer.byteLength(text);
  if (lengthBytes > MAX_OPTION_BYTES) {
    throw new MountError(
      `The mount options take ${lengthBytes} bytes, and the engine fuse-native passes on ${MAX_OPTION_BYTES}: shorten fsname or the root URI, or use --engine kernel`,
    );
  }
  return text;
}
