import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UsageError } from '../../../src/cli/errors.ts';
import { ownIdentity } from '../../../src/cli/process-info.ts';
import { parseMountOwners } from '../../../src/cli/system-mounts.ts';
import { type UmountProgram, parseUmountLine, runUmount } from '../../../src/cli/umount-command.ts';
import { FsError } from '../../../src/errno.ts';

interface Stage extends UmountProgram {
  out: string[];
  errors: string[];
  unmounted: string[];
  mountPoint: string;
}

/** The command with one live mount, in a directory that exists. */
function stage(t: ExecutionContext): Stage {
  const base = mkdtempSync(join(tmpdir(), 'imssfs-umount-'));
  t.teardown(() => {
    rmSync(base, { recursive: true });
  });
  const mountPoint = join(base, 'm');
  mkdirSync(join(mountPoint, 'sub'), { recursive: true });
  const out: string[] = [];
  const errors: string[] = [];
  const unmounted: string[] = [];
  const mount = { mountPoint: Buffer.from(mountPoint), userId: 7, deviceMinor: 51 };
  return {
    out,
    errors,
    unmounted,
    mountPoint,
    args: [mountPoint],
    uid: 7,
    cwd: Buffer.from(base),
    runStates: () => [],
    stopServers: () => Promise.resolve([]),
    sleep: () => Promise.resolve(),
    print: (line) => out.push(line),
    printError: (line) => errors.push(line),
    tools: {
      mountState: (path) => Promise.resolve(path.equals(mount.mountPoint) ? 'alive' : 'none'),
      isMounted: () => Promise.resolve(true),
      recoverDeadMount: () => Promise.resolve(),
      listMounts: () => Promise.resolve([mount]),
      findHolders: () => Promise.resolve(['812 bash: cwd /m/a', '813 vi: open file /m/b']),
      findForeignMounts: () => Promise.resolve([]),
      unmount: (path, mode) => {
        unmounted.push(`${mode} ${path.toString()}`);
        return Promise.resolve();
      },
    },
  };
}

test('a mount is unmounted, with or without a slash at its end, without a word', async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: [`${it.mountPoint}//`] }), 0);
  t.deepEqual(it.unmounted, [`plain ${it.mountPoint}`]);
  t.deepEqual([...it.out, ...it.errors], []);
});

test('a relative mount point is meant from the working folder', async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: ['m', './m/'] }), 0);
  t.deepEqual(it.unmounted, [`plain ${it.mountPoint}`, `plain ${it.mountPoint}`]);
});

test('a file system that is bound to another place as well is named there, without a wait', async (t) => {
  const it = stage(t);
  const bound = { mountPoint: Buffer.from('/bound'), userId: 7, deviceMinor: 51 };
  const here = { ...bound, mountPoint: Buffer.from(it.mountPoint) };
  const tools: UmountProgram['tools'] = {
    ...it.tools,
    listMounts: () => Promise.resolve([here, bound]),
  };
  t.is(await runUmount({ ...it, tools }), 1);
  t.deepEqual(it.errors, [
    `umount-imss: unmounted ${it.mountPoint}, but the same file system is at /bound as well; unmount that too, with: umount-imss /bound`,
  ]);
  t.is(await runUmount({ ...it, tools, args: ['-l', it.mountPoint] }), 0);
});

test('--lazy and --force are passed on', async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: ['-l', it.mountPoint] }), 0);
  t.is(await runUmount({ ...it, args: ['--force', it.mountPoint] }), 0);
  t.deepEqual(it.unmounted, [`lazy ${it.mountPoint}`, `force ${it.mountPoint}`]);
});

test('a busy mount fails with 1 and names who holds it', async (t) => {
  const it = stage(t);
  const tools = { ...it.tools, unmount: () => Promise.reject(new FsError('EBUSY')) };
  t.is(await runUmount({ ...it, tools }), 1);
  t.deepEqual(it.errors, [
    `umount-imss: ${it.mountPoint} is in use (812 bash: cwd /m/a, 813 vi: open file /m/b); let them end or leave it first, or detach it with --lazy`,
  ]);
});

test('a forced unmount gives those who hung a moment to let go', async (t) => {
  const it = stage(t);
  let attempts = 0;
  const tools: UmountProgram['tools'] = {
    ...it.tools,
    unmount: () => {
      attempts += 1;
      return attempts < 3 ? Promise.reject(new FsError('EBUSY')) : Promise.resolve();
    },
  };
  t.is(await runUmount({ ...it, tools, args: ['-f', it.mountPoint] }), 0);
  t.is(attempts, 3);
});

test('what is no imssfs mount fails with 1, and a path inside a mount is told as such', async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: [tmpdir(), join(it.mountPoint, 'sub')] }), 1);
  t.regex(it.errors[0] ?? '', /is not an imssfs mount; see/);
  t.is(it.errors[1], `umount-imss: ${it.mountPoint}/sub is not a mount but lies inside one; unmount ${it.mountPoint}`); // prettier-ignore
  t.deepEqual(it.unmounted, []);
});

test('one mount that cannot be unmounted does not keep the others mounted', async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: ['/nowhere', it.mountPoint] }), 1);
  t.is(it.unmounted.length, 1);
});

test('a dead mount is cleaned up, and that is said', async (t) => {
  const it = stage(t);
  const tools = { ...it.tools, mountState: () => Promise.resolve('dead' as const) };
  t.is(await runUmount({ ...it, tools }), 0);
  t.deepEqual(it.out, [`${it.mountPoint} was a dead mount of an imssfs that had ended; unmounted it`]); // prettier-ignore
});

test("--all unmounts a user's own mounts, and as root those of all", async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: ['--all'], uid: 8 }), 0);
  t.deepEqual(it.unmounted, []);
  t.is(await runUmount({ ...it, args: ['--all'], uid: 0 }), 0);
  t.is(await runUmount({ ...it, args: ['-a'] }), 0);
  t.is(it.unmounted.length, 2);
});

test('a process that does not end within --timeout fails with 1 and is named with its log', async (t) => {
  const it = stage(t);
  const runStates: UmountProgram['runStates'] = () => [
    {
      ...ownIdentity(),
      mountPoint: Buffer.from(it.mountPoint),
      phase: 'mounted',
      source: 'imss://',
      deviceMinor: undefined,
      logFile: '/var/log/x.log',
      version: '',
      file: '',
    },
  ];
  t.is(await runUmount({ ...it, runStates, args: ['--timeout', '0', it.mountPoint] }), 1);
  t.deepEqual(it.errors, [
    `umount-imss: unmounted, but pid ${process.pid} has not ended after 0 s; see /var/log/x.log`,
  ]);
  t.is(await runUmount({ ...it, runStates, args: ['-l', '--timeout', '0', it.mountPoint] }), 0);
  t.deepEqual(it.out, [`pid ${process.pid} goes on until the last user of the mount is gone`]);
});

test('without arguments the usage is shown and the exit code is 2', async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: [] }), 2);
  t.regex(it.errors[0] ?? '', /^Usage: umount-imss/);
});

for (const line of ['-v', '-a /m', '-l -f /m', '--timeout x /m', '--timeout -1 /m', '--lzy /m']) {
  test(`"umount-imss ${line}" is a usage error`, (t) => {
    t.throws(() => parseUmountLine(line.split(' '), '1'), { instanceOf: UsageError });
  });
}

test('help names every option', (t) => {
  const answer = parseUmountLine(['--help'], '1');
  for (const flag of [
    '--lazy',
    '--force',
    '--all',
    '--verbose',
    '--timeout <seconds>',
    '-H, --help',
  ]) {
    // prettier-ignore
    t.true('text' in answer && answer.text.includes(flag), flag);
  }
});

test('the owner of a FUSE mount is read from mountinfo', (t) => {
  const text = [
    '22 1 0:20 / /proc rw - proc proc rw',
    '90 22 0:51 / /home/ann/imss rw,nosuid - fuse.imssfs imss:// rw,user_id=1000,group_id=1000',
    '91 22 0:52 / /mnt/a\\040b rw shared:7 - fuse.imssfs imss:// rw,user_id=0,group_id=0',
  ].join('\n');
  t.deepEqual(parseMountOwners(text), new Map([[90, 1000], [91, 0]])); // prettier-ignore
});

/** A stage whose one mount is of a file system with servers apart. */
function clusterStage(t: ExecutionContext): Stage & { stopped: unknown[] } {
  const it = stage(t);
  const stopped: unknown[] = [];
  const secret = { file: undefined, insecure: true };
  return {
    ...it,
    stopped,
    runStates: () => [
      {
        pid: 2 ** 22 + 1,
        startTicks: 1,
        mountPoint: Buffer.from(it.mountPoint),
        phase: 'mounted',
        source: 'imss://',
        deviceMinor: 51,
        logFile: undefined,
        version: '0.1.0',
        file: '/run/imssfs/1.json',
        servers: { metaServers: [{ host: 'node1', port: 5569 }], secret },
      },
    ],
    stopServers: (request, options) => {
      stopped.push([it.unmounted.length, request, options]);
      return Promise.resolve(['node3:5555', 'node1:5569']);
    },
  };
}

const OF_NODE1 = {
  metaServers: [{ host: 'node1', port: 5569 }],
  secret: { file: undefined, insecure: true },
  waitSeconds: 10,
};

test('--stop-servers ends the servers of the mount, after it is unmounted', async (t) => {
  const it = clusterStage(t);
  t.is(await runUmount({ ...it, args: ['--stop-servers', '-v', it.mountPoint] }), 0);
  t.deepEqual(it.stopped, [[1, OF_NODE1, { force: false, timeoutMs: 60_000 }]]);
  t.is(it.out.at(-1), 'stopped node3:5555, node1:5569');
});

test('--stop-servers --force ends them whoever else is there', async (t) => {
  const it = clusterStage(t);
  t.is(await runUmount({ ...it, args: ['--stop-servers', '--force', it.mountPoint] }), 0);
  t.deepEqual(it.stopped, [[1, OF_NODE1, { force: true, timeoutMs: 60_000 }]]);
});

test('without --stop-servers, and after a mount that stays, servers are left alone', async (t) => {
  const it = clusterStage(t);
  t.is(await runUmount(it), 0);
  const busy = { ...it.tools, unmount: () => Promise.reject(new FsError('EBUSY', 'in use')) };
  t.is(await runUmount({ ...it, tools: busy, args: ['--stop-servers', it.mountPoint] }), 1);
  t.deepEqual(it.stopped, []);
});

test('the servers of a named file system are ended without a mount', async (t) => {
  const it = clusterStage(t);
  const args = ['--stop-servers', '--meta-hosts', 'node1', '--insecure'];
  t.is(await runUmount({ ...it, args }), 0);
  t.deepEqual(it.stopped, [[0, OF_NODE1, { force: false, timeoutMs: 60_000 }]]);
  t.deepEqual(it.unmounted, []);
});

test('a hostfile and a secret are meant from the folder of the shell', async (t) => {
  const it = clusterStage(t);
  writeFileSync(join(it.cwd.toString(), 'metas'), 'node7:1\n');
  const args = ['--stop-servers', '--meta-hostfile', 'metas', '--secret-file', 'secret'];
  t.is(await runUmount({ ...it, args }), 0, it.errors.join());
  t.like(it.stopped[0], {
    1: {
      metaServers: [{ host: 'node7', port: 1 }],
      secret: { file: join(it.cwd.toString(), 'secret') },
    },
  });
});

test('servers that refuse are one line and exit code 1', async (t) => {
  const it = clusterStage(t);
  const refuse = () => Promise.reject(new Error('the file system is mounted (a, b): unmount it there first')); // prettier-ignore
  const args = ['--stop-servers', it.mountPoint];
  t.is(await runUmount({ ...it, args, stopServers: refuse }), 1);
  t.deepEqual(it.errors, [
    'umount-imss: the file system is mounted (a, b): unmount it there first',
  ]);
});

test('--stop-servers for a mount without servers apart unmounts nothing', async (t) => {
  const it = stage(t);
  t.is(await runUmount({ ...it, args: ['--stop-servers', it.mountPoint] }), 1);
  t.deepEqual(it.unmounted, []);
  t.regex(it.errors[0] ?? '', /has no servers apart from mounts, or they are not known; name them/);
});

for (const [args, message] of [
  [['--stop-servers'], /no mount point is given/],
  [
    ['--meta-hosts', 'a', '/m'],
    /metadata servers are named, but nothing is to be done with them; add --stop-servers/,
  ],
  [['--stop-servers', '--lazy', '/m'], /--lazy and --stop-servers are given/],
] as const) {
  test(`"umount-imss ${args.join(' ')}" is wrong usage`, async (t) => {
    const it = stage(t);
    t.is(await runUmount({ ...it, args }), 2);
    t.regex(it.errors[0] ?? '', message);
  });
}
