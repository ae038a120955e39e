import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type Outcome, runProgram } from '../../support/run-program.ts';

/** The compiled file is dist/test/integration/cli/launcher.test.js. */
const root = fileURLToPath(new URL('../../../..', import.meta.url));
const bin = join(root, 'bin');
/** The launchers' `#!/usr/bin/env node` finds the Node.js that runs these tests. */
const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` };

function temporary(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'imssfs-bin-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

function launch(args: readonly string[], name = 'imssfs'): Promise<Outcome> {
  return runProgram(join(bin, name), args, { env });
}

for (const name of ['imssfs', 'umount-imss']) {
  test(`${name} starts through a symlink`, async (t) => {
    const link = join(temporary(t), name);
    symlinkSync(join(bin, name), link);
    const { code, stdout, stderr } = await runProgram(link, ['--version'], { env });
    t.deepEqual([code, stderr], [0, '']);
    t.regex(stdout, /^\d+\.\d+\.\d+\n$/);
  });

  test(`${name} --help teaches on stdout`, async (t) => {
    const { code, stdout, stderr } = await launch(['--help'], name);
    t.deepEqual([code, stderr], [0, '']);
    t.true(stdout.startsWith(`Usage: ${name} [options]`));
    t.true(stdout.includes('Exit code:'));
  });

  test(`${name} without arguments shows a short usage and exits with 2`, async (t) => {
    const { code, stdout, stderr } = await launch([], name);
    t.deepEqual([code, stdout], [2, '']);
    t.regex(stderr, new RegExp(`^Usage: ${name} `));
    t.true(stderr.split('\n').length <= 4);
  });

  test(`${name} on an old Node.js says which is needed and where it is`, async (t) => {
    const old = join(temporary(t), 'old.cjs');
    writeFileSync(
      old,
      `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } });`,
    );
    const { code, stderr } = await runProgram(process.execPath, ['-r', old, join(bin, name), 'x']);
    t.is(code, 1);
    t.regex(
      stderr,
      new RegExp(
        `^${name}: Node.js 20.19 or newer is needed, this is 18.20.4; get it from https://[^\n]+\n$`,
      ),
    );
  });

  test(`${name} in a package that is not built says how to build it`, async (t) => {
    const copy = temporary(t);
    cpSync(bin, join(copy, 'bin'), { recursive: true });
    writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
    const { code, stderr } = await runProgram(join(copy, 'bin', name), ['x'], { env });
    t.is(code, 1);
    t.is(stderr, `${name}: not built yet; run \`npm run build\` in ${copy}\n`);
  });
}

/** A package whose `imssfs` is this program. */
function packageOf(t: ExecutionContext, program: string): string {
  const copy = temporary(t);
  cpSync(bin, join(copy, 'bin'), { recursive: true });
  mkdirSync(join(copy, 'dist/src/cli'), { recursive: true });
  writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
  writeFileSync(join(copy, 'dist/src/cli/imssfs.js'), program);
  return copy;
}

test('what stops a command before it can tell is one line all the same', async (t) => {
  const cases = {
    'export async function main() { throw new Error("no /proc\\nhere"); }': 'no /proc',
    'throw Object.assign(new Error("too many open files"), { code: "EMFILE" });':
      'cannot start: too many open files; raise the limit of open files, with `ulimit -n 1024`',
  };
  for (const [program, message] of Object.entries(cases)) {
    const copy = packageOf(t, program);
    const { code, stderr } = await runProgram(join(copy, 'bin/imssfs'), ['x'], { env });
    t.deepEqual([code, stderr], [1, `imssfs: ${message}\n`]);
  }
});

test('a package that is not installed says how to install it', async (t) => {
  const copy = packageOf(t, 'import "no-such-package";');
  const { code, stderr } = await runProgram(join(copy, 'bin/imssfs'), ['x'], { env });
  t.is(code, 1);
  t.regex(stderr, /^imssfs: cannot start: [^\n]+; run `npm ci --ignore-scripts` and `npm run build` in [^\n]+\n$/); // prettier-ignore
});

test('npm start without what it is built with, or without a home folder, says what to do', async (t) => {
  const copy = temporary(t);
  cpSync(join(root, 'scripts'), join(copy, 'scripts'), { recursive: true });
  writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
  const start = join(copy, 'scripts/start.js');
  const bare = await runProgram(process.execPath, [start], { env });
  t.deepEqual([bare.code, bare.stdout], [1, '']);
  t.regex(
    bare.stderr,
    /^imssfs: [^\n]+ is not installed; run `npm ci --ignore-scripts` in [^\n]+\n$/,
  );
  if (process.getuid?.() === 0) return;
  mkdirSync(join(copy, 'dist/src/cli'), { recursive: true });
  const homeless = await runProgram(process.execPath, [start], { env: { ...env, HOME: 'here' } });
  t.is(homeless.code, 1);
  t.regex(homeless.stderr, /^imssfs: you have no home folder; [^\n]+\n$/);
});

/** Cannot be mounted, so that what is not refused does no harm. */
const NOWHERE = '/nonexistent/imssfs';

const USAGE_ERRORS = [
  [['--polcy', 'RR', NOWHERE], /^imssfs: unknown option '--polcy'; did you mean --policy\?\n$/],
  [['-b', '1', NOWHERE], /^imssfs: block size \(-b\) 1 bytes is too small; give at least 4096 bytes\n$/],
  [['-P', 'XYZ', NOWHERE], /^imssfs: policy \(-P\) "XYZ" is unknown; choose one of [^\n]+\n$/],
  [['-S', '1000T', NOWHERE], /^imssfs: capacity \(-S\) 1000 TiB is above [^\n]+\n$/],
  [['-o', 'ro,bogus', NOWHERE], /^imssfs: unknown mount option "bogus" [^\n]+\n$/],
  [['--busy-poll', '1s', NOWHERE], /^imssfs: busy poll \(--busy-poll\) "1s" is not valid; [^\n]+\n$/],
  [['-d', '2', NOWHERE], /^imssfs: deployment \(-d\) 2 needs metadata servers; name their hosts with -a [^\n]+\n$/],
  [['--insecure', '--secret-file', 'x', NOWHERE], /^imssfs: --secret-file and --insecure contradict each other; [^\n]+\n$/],
  [['--engine', 'fusion', NOWHERE], /^imssfs: engine "fusion" is unknown; choose one of kernel, fuse-native\n$/],
  [['--log-level', 'loud', NOWHERE], /^imssfs: log level "loud" is unknown; [^\n]+\n$/],
  [['-M', '', NOWHERE], /^imssfs: -M is empty; name a file\n$/],
  [['-f'], /^imssfs: no mount point is given; write imssfs \[options\] MOUNTPOINT\n$/],
] as const; // prettier-ignore
for (const [args, message] of USAGE_ERRORS) {
  test(`imssfs ${args.join(' ')} is wrong usage: one line, exit code 2`, async (t) => {
    const { code, stdout, stderr } = await launch(args);
    t.deepEqual([code, stdout], [2, '']);
    t.regex(stderr, message);
  });
}

test('what is wrong with the machine is one line and exit code 1', async (t) => {
  const base = temporary(t);
  writeFileSync(join(base, 'file'), '');
  writeFileSync(join(base, 'hosts'), 'localhost\n192.0.2.77:5555 # a documentation address\n');
  writeFileSync(join(base, 'others'), '192.0.2.77\n');
  writeFileSync(join(base, 'empty'), '# nobody\n');
  const cases: [string[], RegExp][] = [
    [[join(base, 'no')], /^imssfs: mount point \S+ does not exist; make it with: mkdir -p [^\n]+\n$/],
    [[join(base, 'file')], /^imssfs: \S+ is not a directory; name an existing directory\n$/],
    [['-h', join(base, 'no'), base], /^imssfs: cannot read hostfile \S+: it does not exist; [^\n]+\n$/],
    [['-a', join(base, 'empty'), base], /^imssfs: hostfile \S+ names no host; [^\n]+\n$/],
    [['-h', join(base, 'others'), '-a', join(base, 'others'), base], /^imssfs: hostfile \S+ does not name this node, [^\n]+\n$/],
    [['-h', join(base, 'hosts'), '--node', 'x', base], /^imssfs: --node x is not in hostfile [^\n]+\n$/],
  ]; // prettier-ignore
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await launch(args);
    t.deepEqual([code, stdout], [1, ''], args.join(' '));
    t.regex(stderr, message);
  }
});

test('umount-imss of what is no mount is one line and exit code 1', async (t) => {
  const base = temporary(t);
  mkdirSync(join(base, 'm'));
  const { code, stderr } = await launch([join(base, 'm/'), join(base, 'no')], 'umount-imss');
  t.is(code, 1);
  t.regex(
    stderr,
    /^umount-imss: \S+\/m is not an imssfs mount; [^\n]+\numount-imss: \S+\/no does not exist; [^\n]+\n$/,
  );
});
