/** The chance by which scripts for the metadata store are made. */
import fc from 'fast-check';
import type {
  CrashPoint,
  Kind,
  Operation,
  ReaperMode,
  Script,
  Step,
  Tagging,
} from './meta-operations.ts';

const pick = fc.nat({ max: 99 });
const usualName = fc.nat({ max: 5 });
const name = fc.oneof(
  { weight: 30, arbitrary: usualName },
  { weight: 1, arbitrary: fc.nat({ max: 9 }) },
);
const place = fc.tuple(pick, name);
const kind = fc.constantFrom<Kind>(
  'file',
  'file',
  'file',
  'directory',
  'directory',
  'symlink',
  'device',
);
const mode = fc.constantFrom(0o644, 0o755, 0o6755, 0o2755, 0o6644);
const owner = fc.nat({ max: 3 });
const flags = fc.constantFrom('none', 'none', 'none', 'noReplace', 'exchange', 'exchange', 'both');
const reaper = fc.constantFrom<ReaperMode>('prompt', 'prompt', 'failing', 'slow');
const seconds = fc.integer({ min: -5, max: 2000 });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({ op: fc.constant('create' as const), at: place, kind, mode, owner }),
  },
  { weight: 8, arbitrary: fc.record({ op: fc.constant('link' as const), inode: pick, at: place }) },
  { weight: 14, arbitrary: fc.record({ op: fc.constant('unlink' as const), at: place }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('rmdir' as const), at: place }) },
  {
    weight: 20,
    arbitrary: fc.record({ op: fc.constant('rename' as const), at: place, to: place, flags }),
  },
  {
    weight: 5,
    arbitrary: fc.record(
      {
        op: fc.constant('setAttributes' as const),
        inode: pick,
        mode,
        owner,
        mtime: seconds,
        drop: fc.boolean(),
      },
      { requiredKeys: ['op', 'inode', 'drop'] },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('touchAtime' as const), inode: pick, seconds }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('confirmBorn' as const), inode: pick }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('reportData' as const),
      inode: pick,
      version: fc.nat({ max: 4 }),
      bytes: fc.nat({ max: 9 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('directoryAt' as const),
      path: fc.array(name, { maxLength: 3 }),
    }),
  },
  { weight: 14, arbitrary: fc.record({ op: fc.constant('reap' as const), inode: pick }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('openSession' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('expireSession' as const), session: pick }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('reaper' as const), mode: reaper }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('retryFrees' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('settle' as const) }) },
);

const tagging: fc.Arbitrary<Tagging> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      as: fc.constant('new' as const),
      session: pick,
      acknowledges: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ as: fc.constant('retry' as const), earlier: pick }) },
);

const request: fc.Arbitrary<Step> = fc.record(
  { do: fc.constant('request' as const), operation, tagging },
  { requiredKeys: ['do', 'operation'] },
);

const crash: fc.Arbitrary<CrashPoint> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      at: fc.constant('write' as const),
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ at: fc.constant('reaper' as const), count: fc.constant(1) }),
  },
  { weight: 2, arbitrary: fc.record({ at: fc.constant('reply' as const), count: fc.constant(1) }) },
);

const crashing: fc.Arbitrary<Step> = fc.record(
  { do: fc.constant('request' as const), operation, tagging, crash },
  { requiredKeys: ['do', 'operation', 'crash'] },
);

const kill: fc.Arbitrary<Step> = fc.record(
  {
    do: fc.constant('kill' as const),
    acknowledged: pick,
    reaper,
    opening: fc.integer({ min: 1, max: 12 }),
  },
  { requiredKeys: ['do', 'acknowledged', 'reaper'] },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 120, arbitrary: request },
  { weight: 5, arbitrary: crashing },
  { weight: 2, arbitrary: kill },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), reaper }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compare' as const) }) },
);

/** Scripts of up to `maxSteps` steps. */
export function scripts(maxSteps: number): fc.Arbitrary<Script> {
  return fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: maxSteps, size: 'max' }),
    blocksOutliveUs: fc.boolean(),
  });
}
