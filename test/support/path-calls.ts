/** The system calls that take a path, in one table: what is true of paths is tried with each of them. */
import { closeSync, constants } from 'node:fs';
import koffi from 'koffi';
import { checked, O_TMPFILE } from './libc.ts';

const libc = koffi.load(null);

const openatFn = libc.func('int openat(int, const char *, int, unsigned int)');
const mkdiratFn = libc.func('int mkdirat(int, const char *, unsigned int)');
const mknodatFn = libc.func('int mknodat(int, const char *, unsigned int, uint64_t)');
const symlinkatFn = libc.func('int symlinkat(const char *, int, const char *)');
const linkatFn = libc.func('int linkat(int, const char *, int, const char *, int)');
const renameatFn = libc.func('int renameat(int, const char *, int, const char *)');
const unlinkatFn = libc.func('int unlinkat(int, const char *, int)');
const readlinkatFn = libc.func('int64_t readlinkat(int, const char *, void *, size_t)');
const faccessatFn = libc.func('int faccessat(int, const char *, int, int)');
const fchmodatFn = libc.func('int fchmodat(int, const char *, unsigned int, int)');
const fchownatFn = libc.func('int fchownat(int, const char *, unsigned int, unsigned int, int)');
const utimensatFn = libc.func('int utimensat(int, const char *, const void *, int)');
const statxFn = libc.func('int statx(int, const char *, int, unsigned int, void *)');
const truncateFn = libc.func('int truncate64(const char *, int64_t)');
const statfsFn = libc.func('int statfs64(const char *, void *)');
const setxattrFn = libc.func('int setxattr(const char *, const char *, const void *, size_t, int)');
const getxattrFn = libc.func('int64_t getxattr(const char *, const char *, void *, size_t)');
const listxattrFn = libc.func('int64_t listxattr(const char *, void *, size_t)');
const removexattrFn = libc.func('int removexattr(const char *, const char *)');

export const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;
/** For the user that this process acts as, not the one who started it. */
const AT_EACCESS = 0x200;
const AT_SYMLINK_NOFOLLOW = 0x100;
const STATX_BASIC_STATS = 0x7ff;
/** Larger than struct statx and struct statfs. */
const RECORD_BYTES = 512;
const NOBODY = 0xffff_ffff;
const ATTRIBUTE = 'user.a';

const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY, S_IFIFO } = constants;

export interface PathCall {
  readonly name: string;
  /** What it wants to find under its path: an entry, none, or either. */
  readonly wants: 'entry' | 'nothing' | 'any';
  /** It adds, removes or renames what its path names. */
  readonly changesFolder?: true;
  /** It changes what its path names. */
  readonly changesEntry?: true;
  /** Its path is followed where it ends in a symlink. */
  readonly follows?: true;
  /** Its path is always taken from the working folder: no descriptor of a folder goes with it. */
  readonly hasNoFolder?: true;
  /** `other` is the path of a file, for the calls that take two paths. */
  readonly call: (path: string, other: string, folder?: number) => unknown;
}

function open(flags: number) {
  return (path: string, _other: string, folder = AT_FDCWD): void => {
    closeSync(checked('openat', openatFn(folder, path, flags, 0o644)));
  };
}

function buffer(): Buffer {
  return Buffer.alloc(RECORD_BYTES);
}

const ENTRY = { wants: 'entry' } as const;
const FOLLOWED = { wants: 'entry', follows: true } as const;
const CHANGED = { wants: 'entry', follows: true, changesEntry: true } as const;
const REMOVED = { wants: 'entry', changesFolder: true } as const;
const MADE = { wants: 'nothing', changesFolder: true } as const;
const WHOLE = { hasNoFolder: true } as const;

export const PATH_CALLS: readonly PathCall[] = [
  { name: 'open', ...FOLLOWED, call: open(O_RDONLY) },
  { name: 'open for writing', ...CHANGED, call: open(O_WRONLY) },
  { name: 'open with O_CREAT', wants: 'any', follows: true, call: open(O_WRONLY | O_CREAT) },
  { name: 'open with O_EXCL', ...MADE, call: open(O_WRONLY | O_CREAT | O_EXCL) },
  { name: 'open with O_TMPFILE', ...FOLLOWED, call: open(O_WRONLY | O_TMPFILE) },
  {
    name: 'mkdir',
    ...MADE,
    call: (path, _other, folder = AT_FDCWD) => checked('mkdirat', mkdiratFn(folder, path, 0o755)),
  },
  {
    name: 'mknod',
    ...MADE,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('mknodat', mknodatFn(folder, path, S_IFIFO | 0o644, 0)),
  },
  {
    name: 'symlink',
    ...MADE,
    call: (path, _other, folder = AT_FDCWD) => checked('symlinkat', symlinkatFn('x', folder, path)),
  },
  {
    name: 'link to',
    ...MADE,
    call: (path, other, folder = AT_FDCWD) =>
      checked('linkat', linkatFn(AT_FDCWD, other, folder, path, 0)),
  },
  {
    name: 'link from',
    ...ENTRY,
    call: (path, other, folder = AT_FDCWD) =>
      checked('linkat', linkatFn(folder, path, AT_FDCWD, `${other}-link`, 0)),
  },
  {
    name: 'rename to',
    wants: 'any',
    changesFolder: true,
    call: (path, other, folder = AT_FDCWD) =>
      checked('renameat', renameatFn(AT_FDCWD, other, folder, path)),
  },
  {
    name: 'rename from',
    ...REMOVED,
    call: (path, other, folder = AT_FDCWD) =>
      checked('renameat', renameatFn(folder, path, AT_FDCWD, `${other}-renamed`)),
  },
  {
    name: 'unlink',
    ...REMOVED,
    call: (path, _other, folder = AT_FDCWD) => checked('unlinkat', unlinkatFn(folder, path, 0)),
  },
  {
    name: 'rmdir',
    ...REMOVED,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('unlinkat', unlinkatFn(folder, path, AT_REMOVEDIR)),
  },
  {
    name: 'readlink',
    ...ENTRY,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('readlinkat', readlinkatFn(folder, path, buffer(), RECORD_BYTES)),
  },
  {
    name: 'access',
    ...FOLLOWED,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('faccessat', faccessatFn(folder, path, constants.R_OK, AT_EACCESS)),
  },
  {
    name: 'stat',
    ...FOLLOWED,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('statx', statxFn(folder, path, 0, STATX_BASIC_STATS, buffer())),
  },
  {
    name: 'lstat',
    ...ENTRY,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('statx', statxFn(folder, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, buffer())),
  },
  {
    name: 'chmod',
    ...CHANGED,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('fchmodat', fchmodatFn(folder, path, 0o644, 0)),
  },
  {
    name: 'chown',
    ...CHANGED,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('fchownat', fchownatFn(folder, path, 0, NOBODY, 0)),
  },
  {
    name: 'lchown',
    ...ENTRY,
    changesEntry: true,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('fchownat', fchownatFn(folder, path, 0, NOBODY, AT_SYMLINK_NOFOLLOW)),
  },
  {
    name: 'utimensat',
    ...CHANGED,
    call: (path, _other, folder = AT_FDCWD) =>
      checked('utimensat', utimensatFn(folder, path, null, 0)),
  },
  {
    name: 'truncate',
    ...{ ...CHANGED, ...WHOLE },
    call: (path) => checked('truncate', truncateFn(path, 0)),
  },
  {
    name: 'statfs',
    ...{ ...FOLLOWED, ...WHOLE },
    call: (path) => checked('statfs', statfsFn(path, buffer())),
  },
  {
    name: 'setxattr',
    ...{ ...CHANGED, ...WHOLE },
    call: (path) => checked('setxattr', setxattrFn(path, ATTRIBUTE, Buffer.of(1), 1, 0)),
  },
  {
    name: 'getxattr',
    ...{ ...FOLLOWED, ...WHOLE },
    call: (path) => checked('getxattr', getxattrFn(path, ATTRIBUTE, buffer(), RECORD_BYTES)),
  },
  {
    name: 'listxattr',
    ...{ ...FOLLOWED, ...WHOLE },
    call: (path) => checked('listxattr', listxattrFn(path, buffer(), RECORD_BYTES)),
  },
  {
    name: 'removexattr',
    ...{ ...CHANGED, ...WHOLE },
    call: (path) => checked('removexattr', removexattrFn(path, ATTRIBUTE)),
  },
];
