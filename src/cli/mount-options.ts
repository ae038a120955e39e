/**
 * The options of `-o`, in the words of mount(8), and what each means to a mount. Options are applied in the
 * order in which they are written, so the later of two that contradict each other wins.
 */
import type { MountRequest } from '../fs/engine.ts';
import { UsageError } from './errors.ts';
import { splitOptions } from './mount-settings.ts';

/** What `-o` says, with the defaults for what it does not say. */
export interface MountOptions extends Omit<MountRequest, 'mountPoint'> {
  /** Do not warn of a mount point that is not empty. */
  allowNonEmpty: boolean;
}

/** Generic flags that the kernel takes, by what they contradict: of one group, the last one wins. */
const GENERIC_GROUPS: readonly (readonly string[])[] = [
  ['suid', 'nosuid'],
  ['dev', 'nodev'],
  ['exec', 'noexec'],
  ['atime', 'noatime', 'relatime', 'norelatime', 'strictatime', 'nostrictatime'],
  ['diratime', 'nodiratime'],
  ['lazytime', 'nolazytime'],
  ['symfollow', 'nosymfollow'],
  ['async', 'sync'],
  ['dirsync'],
];

// prettier-ignore
/** What holds anyway on a new mount; the kernel need not be told. */
const IMPLIED = new Set([
  'suid', 'dev', 'exec', 'atime', 'relatime', 'norelatime', 'nostrictatime', 'diratime', 'async',
]);

// prettier-ignore
/** Words that fstab(5) and its tools use and that mean nothing to the file system itself. */
const FSTAB_WORDS = new Set([
  'defaults', 'auto', 'noauto', 'user', 'nouser', 'users', 'nousers', 'owner', 'noowner', 'group', 'nogroup',
  '_netdev', 'nofail', 'sloppy', 'loud', 'silent',
]);

/** Flags of ours and of FUSE. */
const FLAGS = new Map<string, (options: MountOptions) => void>([
  ['ro', (options) => (options.readOnly = true)],
  ['rw', (options) => (options.readOnly = false)],
  ['allow_other', (options) => (options.allowOther = true)],
  ['no_allow_other', (options) => (options.allowOther = false)],
  ['default_permissions', (options) => (options.defaultPermissions = true)],
  ['no_default_permissions', (options) => (options.defaultPermissions = false)],
  ['acl', (options) => (options.acl = true)],
  ['noacl', (options) => (options.acl = false)],
  ['nonempty', (options) => (options.allowNonEmpty = true)],
]);

/** Options that take a value. */
const VALUED = new Map<string, (options: MountOptions, value: string) => void>([
  [
    'fsname',
    (options, value) => {
      if (value === '') throw new UsageError('mount option fsname is empty; write fsname=NAME');
      options.source = value;
    },
  ],
  [
    'subtype',
    (_options, value) => {
      if (value === 'imssfs') return;
      throw new UsageError(
        `mount option subtype=${value} is refused, because umount-imss knows its mounts by imssfs; leave it out`,
      );
    },
  ],
]);

/** All option names that {@link parseMountOptions} knows, for help and documentation. */
export const MOUNT_OPTION_NAMES: readonly string[] = [
  ...FLAGS.keys(),
  ...GENERIC_GROUPS.flat(),
  ...Array.from(VALUED.keys(), (name) => `${name}=`),
];

/**
 * Parses all `-o` arguments. `defaults` says whether the mount is shared with other users (root's is,
 * where the engine can) and how it is called. Throws {@link UsageError} naming the first option that is unknown.
 */
export function parseMountOptions(
  args: readonly string[],
  defaults: { allowOther: boolean; source: string },
): MountOptions {
  const options: MountOptions = {
    source: defaults.source,
    readOnly: false,
    allowOther: defaults.allowOther,
    defaultPermissions: true,
    acl: false,
    genericOptions: [],
    allowNonEmpty: false,
  };
  const generic = new Map<readonly string[], string>();
  const words = args.flatMap(splitOptions);
  const sloppy = words.includes('sloppy');
  for (const word of words) {
    try {
      applyOption(options, generic, word);
    } catch (error) {
      // mount -s: what one file system alone knows is no error for another.
      if (!(sloppy && error instanceof UnknownOption)) throw error;
    }
  }
  if (options.acl && !options.defaultPermissions) {
    throw new UsageError(
      'mount options acl and no_default_permissions contradict each other (-o): where the kernel checks no permissions it checks no ACLs; leave out one of them',
    );
  }
  options.genericOptions = [...generic.values()].filter((name) => !IMPLIED.has(name));
  return options;
}

function applyOption(
  options: MountOptions,
  generic: Map<readonly string[], string>,
  word: string,
): void {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  // mount(8): x-* stays in userspace, X-* too and is not even recorded; comment= is the older way.
  if (/^x-/i.test(name) || (name === 'comment' && equals >= 0)) return;
  if (equals >= 0) {
    const valued = VALUED.get(name);
    if (valued === undefined) throw unknownOption(name);
    valued(options, word.slice(equals + 1));
    return;
  }
  const flag = FLAGS.get(name);
  const group = GENERIC_GROUPS.find((names) => names.includes(name));
  if (flag !== undefined) {
    flag(options);
  } else if (group !== undefined) {
    generic.set(group, name);
  } else if (VALUED.get(name) !== undefined) {
    throw new UsageError(`mount option ${name} needs a value; write ${name}=VALUE`);
  } else if (!FSTAB_WORDS.has(name)) {
    throw unknownOption(name);
  }
}

class UnknownOption extends UsageError {}

function unknownOption(name: string): UnknownOption {
  if (name === 'remount') {
    return new UnknownOption(
      'imssfs cannot remount (-o); unmount and mount again, or let the kernel alone do it: mount -i -o remount,...',
    );
  }
  return new UnknownOption(
    `unknown mount option "${name}" (-o); leave it out, imssfs --help lists those that it takes`,
  );
}
