/**
 * What the fuse-native engine cannot do, in one table: docs/engines.md shows it, and the tests name the entry for
 * which they are left out on this engine, or which they show.
 */

export interface NativeLimit {
  /** What is not there, as the user of a mount sees it. */
  readonly what: string;
  /** Which part is to blame, and for what. */
  readonly why: string;
}

export const NATIVE_LIMITS = {
  caller: {
    what: 'Only who has mounted gets in, not even root does; `-o allow_other` is refused.',
    why: 'The package does not pass on who calls, so files of several users could not be owned or protected right.',
  },
  acl: {
    what: 'There are no ACLs, and `-o acl` is refused.',
    why: 'libfuse 2.9 does not know the flag by which the kernel is asked to enforce them.',
  },
  mountOptions: {
    what: 'The mount is always `nosuid,nodev`; `nodiratime`, `strictatime`, `lazytime`, `nosymfollow` and the like are refused.',
    why: 'libfuse 2.9 sets the former by itself and does not know the latter.',
  },
  mountPoint: {
    what: 'A mount point that is not UTF-8, has more than 1,023 bytes, or is itself a mount, is refused; so is, for an ordinary user, one that is not empty.',
    why: 'The package takes it as text, into a buffer of that size, and takes a mount there for one of its own; fusermount3 does not know the word by which libfuse 2.9 takes a folder that is not empty.',
  },
  milliseconds: {
    what: 'Times have whole milliseconds, and none is before 1970.',
    why: 'The package passes them as milliseconds, and divides them as unsigned numbers.',
  },
  partialChange: {
    what: 'A change of the access or modification time alone (`touch -a`, `touch -m`) does nothing; nor does a chown of -1 and -1.',
    why: 'libfuse 2.9 passes on times only in pairs, and drops a change in which it knows nothing, and says that it worked.',
  },
  utf8: {
    what: 'Names, symlink targets and attribute names that are not UTF-8, or hold U+FFFD, fail with EILSEQ; listings leave them out.',
    why: 'The package decodes all names, so that the bytes are lost.',
  },
  renameFlags: {
    what: 'renameat2(2) with flags fails with EINVAL.',
    why: 'libfuse 2.9 speaks a protocol of before they were there.',
  },
  hiddenFiles: {
    what: 'An open file that loses its name is renamed to `.fuse_hidden…` until it is closed: it is listed, keeps its link, and its folder cannot be removed. With `-M`, one that is open stays when the daemon is killed, ended by a second signal, or cut off by `umount -f`.',
    why: 'libfuse 2.9 knows files by their path alone.',
  },
  nameless: {
    what: 'A folder that was removed while it was open or current cannot be listed: ENOENT.',
    why: 'libfuse 2.9 knows folders by their path alone.',
  },
  snapshot: {
    what: 'A listing is of the moment when it began: entries removed since are still in it.',
    why: 'The package hands over a folder as a whole.',
  },
  hardLinks: {
    what: 'The names of one file have page caches of their own: what is written through one is seen through another when that is opened next. **Appends through two names that are open at once overwrite each other.**',
    why: 'libfuse 2.9 gives each path a node, so the kernel takes them for different files.',
  },
  ranges: {
    what: 'fallocate(2) fails with EOPNOTSUPP, and posix_fallocate(3) writes zeros instead; SEEK_HOLE finds the end of the file alone; copy_file_range(2) goes through the page cache; O_TMPFILE fails with EOPNOTSUPP.',
    why: 'The package has no callbacks for them, and libfuse 2.9 none for the latter three.',
  },
  threads: {
    what: 'Each moment in which more than ten requests wait at once, six of them of read-ahead and the like, leaves some threads behind: about 1 KiB for each, and every later request takes a little longer.',
    why: 'libfuse 2.9 ends threads when more than ten are idle, and the package never lets go of one that has ended.',
  },
  inodeNumbers: {
    what: 'Inode numbers are cut to 32 bits, so after 4,294,967,295 files two may look like one.',
    why: 'The package passes them so.',
  },
  locks: {
    what: 'Locks of flock(2) and fcntl(2) hold within one mount only, also where there are several.',
    why: 'The package passes no requests for locks on, so the kernel keeps them by itself.',
  },
} as const satisfies Readonly<Record<string, NativeLimit>>;

/** Names an entry of {@link NATIVE_LIMITS}. */
export type NativeLimitName = keyof typeof NATIVE_LIMITS;
