/**
 * What the model of the metadata store does to it: operations by index of inode and name, so that a script means
 * the same whatever numbers the store gives out.
 */
export const KINDS = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  device: 0o020000,
} as const;
export type Kind = keyof typeof KINDS;

/** A few names that meet each other, and some that are at the limits of what a name may be. */
export const NAMES: readonly Buffer[] = [
  ...['a', 'b', 'c', 'd'].map((text) => Buffer.from(text)),
  Buffer.from([0xff, 0xfe]),
  Buffer.alloc(255, 0xc3),
  Buffer.alloc(256, 'x'),
  Buffer.from('..'),
  Buffer.from('a/b'),
  Buffer.alloc(0),
];

/** Where every symlink leads. */
export const TARGET = Buffer.from('../a/\u00e9');

/** Limits of the store under test, low enough to be met. */
export const LIMITS = { links: 4, directoryLinks: 6 } as const;

/** How the store's reaper answers: at once, by failing at once, or by a promise that `settle` resolves. */
export type ReaperMode = 'prompt' | 'failing' | 'slow';

/** An entry: the index of a directory among all inodes ever made, and that of a name. */
export type Place = readonly [parent: number, name: number];

export type Operation =
  | { op: 'create'; at: Place; kind: Kind; mode: number; owner: number }
  | { op: 'link'; inode: number; at: Place }
  | { op: 'unlink'; at: Place }
  | { op: 'rmdir'; at: Place }
  | { op: 'rename'; at: Place; to: Place; flags: 'none' | 'noReplace' | 'exchange' | 'both' }
  | {
      op: 'setAttributes';
      inode: number;
      mode?: number;
      owner?: number;
      mtime?: number;
      drop: boolean;
    }
  | { op: 'touchAtime'; inode: number; seconds: number }
  | { op: 'confirmBorn'; inode: number }
  | { op: 'reportData'; inode: number; version: number; bytes: number }
  | { op: 'directoryAt'; path: readonly number[] }
  | { op: 'reap'; inode: number }
  | { op: 'openSession' }
  | { op: 'expireSession'; session: number }
  | { op: 'reaper'; mode: ReaperMode }
  | { op: 'retryFrees' }
  | { op: 'settle' };

/** As RequestTag of the store's contract. */
export interface Tag {
  session: number;
  sequence: number;
  acknowledgedBelow: number;
}

/** An operation that is sent: at what time it runs, and how its process dies in it, if it does. */
export interface Request {
  operation: Operation;
  seconds: number;
  tag?: Tag;
  crash?: CrashPoint;
}

/**
 * Where the process dies: before write number `count` of a transaction (from 1), once it has asked the reaper to free
 * a dataset, or between the operation's end and its acknowledgement. Not every operation gets there.
 */
export interface CrashPoint {
  at: 'write' | 'reaper' | 'reply';
  count: number;
}

/** How a request is to be tagged, in terms of what was sent before. */
export type Tagging =
  { as: 'new'; session: number; acknowledges: boolean } | { as: 'retry'; earlier: number };

/** What happens next. Numbers are taken modulo what there is when the step's turn comes. */
export type Step =
  | { do: 'request'; operation: Operation; tagging?: Tagging; crash?: CrashPoint }
  /** Killed from outside at any moment while the steps before run; `acknowledged` is how many of them to wait for. */
  | { do: 'kill'; acknowledged: number; reaper: ReaperMode; opening?: number }
  | { do: 'close'; reaper: ReaperMode }
  | { do: 'compare' };

export interface Script {
  steps: Step[];
  /** Blocks are elsewhere: opening drops nothing. */
  blocksOutliveUs: boolean;
}

/** One line for each step, as short as JSON allows. */
export function printScript({ steps, blocksOutliveUs }: Script): string {
  return [
    `blocksOutliveUs=${String(blocksOutliveUs)}`,
    ...steps.map((one) => JSON.stringify(one)),
  ].join('\n');
}
