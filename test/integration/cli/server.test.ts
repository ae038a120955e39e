import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type Outcome, runProgram } from '../../support/run-program.ts';

/** `imssfs server` over servers that only listen. */
const program = fileURLToPath(new URL('../../support/fake-server.js', import.meta.url));

interface Stage {
  folder: string;
  env: Record<string, string>;
  run: (args: readonly string[], env?: Record<string, string>) => Promise<Outcome>;
  start: (args: readonly string[], env?: Record<string, string>) => Started;
}

/** A server in the foreground. */
interface Started {
  child: ChildProcess;
  /** Resolves with all of stdout (or stderr) so far once `pattern` stands there. */
  said: (pattern: RegExp, stream?: 'stdout' | 'stderr') => Promise<string>;
  /** Exit code, or the signal. */
  ended: Promise<number | string | null>;
}

function stage(t: ExecutionContext): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'imssfs-server-'));
  const children: ChildProcess[] = [];
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const env = { XDG_RUNTIME_DIR: folder, XDG_STATE_HOME: folder, HOME: folder };
  return {
    folder,
    env,
    run: (args, more) =>
      runProgram(process.execPath, [program, 'server', ...args], { env: { ...env, ...more } }),
    start: (args, more) => {
      const child = spawn(process.execPath, [program, 'server', ...args], {
        env: { ...process.env, ...env, ...more },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.push(child);
      return startedOf(child);
    },
  };
}

function startedOf(child: ChildProcess): Started {
  const said = { stdout: '', stderr: '' };
  const ended = new Promise<number | string | null>((resolve) => {
    child.once('close', (code, signal) => {
      resolve(code ?? signal);
    });
  });
  const waiting: (() => void)[] = [];
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (data: Buffer) => {
      said[name] += data.toString();
      for (const check of waiting) check();
    });
  }
  return {
    child,
    ended,
    said: (pattern, stream = 'stdout') =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (pattern.test(said[stream])) resolve(said[stream]);
        };
        waiting.push(check);
        check();
        void ended.then(() => {
          reject(new Error(`it ended; stdout: ${said.stdout} stderr: ${said.stderr}`));
        });
      }),
  };
}

/** A TCP port that was free a moment ago. */
async function freePort(host: string): Promise<string> {
  const server = createServer();
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port: 0 }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

test('a server says on stdout when it is ready, and SIGTERM stops it with exit code 0', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const port = await freePort('127.0.0.2');
    const server = stage(t).start(['meta', '--meta-hosts', `127.0.0.2:${port}`]);
    const said = await server.said(/\n.*\n/);
    t.is(
      said,
      `ready: metadata server 0 at 127.0.0.2:${port} (pid ${server.child.pid})\nnobody is connected\n`,
    );
    server.child.kill(signal);
    t.is(await server.ended, 0);
  }
});

test('the positional forms start the same servers', async (t) => {
  const { folder, start } = stage(t);
  const port = await freePort('127.0.0.3');
  const meta = start([join(folder, 'metadata'), port, '0', '--listen', '127.0.0.3']);
  t.regex(await meta.said(/\n/), new RegExp(`^ready: metadata server at 127.0.0.3:${port} `));
  writeFileSync(join(folder, 'hosts'), '127.0.0.2\n127.0.0.4\n');
  const words = ['imss://', await freePort('127.0.0.4'), '0', '127.0.0.3', port, '2'];
  const blocks = start([...words, join(folder, 'hosts'), '1', '--node', '127.0.0.4']);
  t.regex(await blocks.said(/\n/), /^ready: block server 1 at 127\.0\.0\.4:\d+ \(pid \d+\)\n/);
});

test('a port in use is one line that says where, and exit code 1', async (t) => {
  const { start, run } = stage(t);
  const port = await freePort('127.0.0.2');
  const first = start(['meta', '--listen', '127.0.0.2', '--port', port]);
  await first.said(/ready/);
  const second = await run(['meta', '--listen', '127.0.0.2', '--port', port]);
  t.deepEqual(second, {
    code: 1,
    stdout: '',
    stderr: `imssfs: cannot listen at 127.0.0.2:${port}: something else listens there; end it, or choose another port\n`,
  });
});

test('an address that this machine does not have is one line and exit code 1', async (t) => {
  const { code, stderr } = await stage(t).run(['meta', '--listen', '192.0.2.1']);
  t.is(code, 1);
  t.regex(
    stderr,
    /^imssfs: cannot listen at 192\.0\.2\.1:5569: this machine has no such address; [^\n]+\n$/,
  );
});

test('wrong usage is exit code 2', async (t) => {
  const { code, stdout, stderr } = await stage(t).run(['blocks']);
  t.deepEqual([code, stdout], [2, '']);
  t.regex(stderr, /^imssfs: no metadata server is given to register at; [^\n]+\n$/);
});

test('while a server waits for another it says for whom, and a signal ends it', async (t) => {
  const waiting = stage(t).start(['meta', '--port', await freePort('127.0.0.1')], {
    FAKE_SERVER: 'wait',
  });
  t.regex(
    await waiting.said(/\n/, 'stderr'),
    /^imssfs: waiting for metadata server 0 at node1:5569\n/,
  );
  waiting.child.kill('SIGTERM');
  t.is(await waiting.ended, 0);
});

test('a second signal ends a server at once that does not come to an end, with exit code 1', async (t) => {
  const port = await freePort('127.0.0.1');
  const server = stage(t).start(['meta', '--port', port], { FAKE_SERVER: 'slow' });
  await server.said(/ready/);
  server.child.kill('SIGTERM');
  await server.said(/SIGTERM: finishing/, 'stderr');
  server.child.kill('SIGTERM');
  t.is(await server.ended, 1);
});

test('a server that fails says why and ends with exit code 1', async (t) => {
  const port = await freePort('127.0.0.1');
  const server = stage(t).start(['meta', '--port', port], { FAKE_SERVER: 'fail' });
  await server.said(/the database is gone/, 'stderr');
  t.is(await server.ended, 1);
});

test('--daemon returns when the server is ready, which then goes on by itself', async (t) => {
  const { run, folder } = stage(t);
  const port = await freePort('127.0.0.1');
  const log = join(folder, 'log');
  const { code, stdout, stderr } = await run([
    'meta',
    '--port',
    port,
    '--daemon',
    '--log-file',
    log,
  ]);
  t.deepEqual([code, stderr], [0, '']);
  const pid = Number(/\(pid (\d+), log \S+\/log\)\nnobody is connected\n$/.exec(stdout)?.[1]);
  t.true(existsSync(`/proc/${pid}`));
  t.regex(
    readFileSync(`/proc/${pid}/cmdline`, 'latin1'),
    new RegExp(`\0server\0meta\0.*:${port}\0`),
  );
  process.kill(pid, 'SIGTERM');
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 20));
  t.regex(readFileSync(log, 'utf8'), /"msg":"stopped"\}\n$/);
});

test('--daemon tells the shell for whom it waits, fails in bounded time, and leaves nothing', async (t) => {
  const { run, folder } = stage(t);
  const log = join(folder, 'log');
  const args = ['meta', '--port', await freePort('127.0.0.1'), '--daemon', '--log-file', log];
  const { code, stdout, stderr } = await run([...args, '--wait', '8'], { FAKE_SERVER: 'wait' });
  t.deepEqual([code, stdout], [1, '']);
  t.regex(
    stderr,
    /^imssfs: waiting for metadata server 0 at node1:5569\nimssfs: the server was not ready after 8 s; see \S+\n$/,
  );
  const pid = Number(/"pid":(\d+)/.exec(readFileSync(log, 'utf8'))?.[1]);
  t.false(existsSync(`/proc/${pid}`));
});

test('a daemon that cannot listen fails as a server in the foreground does', async (t) => {
  const { code, stderr } = await stage(t).run(['meta', '--listen', '192.0.2.1', '--daemon']);
  t.is(code, 1);
  t.regex(stderr, /^imssfs: cannot listen at 192\.0\.2\.1:5569: this machine has no such address/);
});

const MPICH = '/usr/bin/mpirun.mpich';
(existsSync(MPICH) ? test : test.skip)(
  'under mpirun of MPICH each process is the server that its host and rank say',
  async (t) => {
    const { folder, env } = stage(t);
    const port = Number(await freePort('127.0.0.2'));
    const hosts = join(folder, 'hosts');
    writeFileSync(hosts, `127.0.0.2:${port}\n127.0.0.3:${port}\n`);
    const launch = ['-np', '4', '-launcher', 'fork', '-f', join(folder, 'machines')];
    writeFileSync(join(folder, 'machines'), '127.0.0.2\n127.0.0.3\n');
    const child = spawn(
      MPICH,
      [
        ...launch,
        process.execPath,
        program,
        'server',
        'imss://',
        '5555',
        '0',
        '127.0.0.1',
        '1',
        '4',
        hosts,
        '1',
      ],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    t.teardown(() => child.kill('SIGKILL'));
    const all = startedOf(child);
    const said = await all.said(/(ready[^]*){4}/);
    const ready = said.split('\n').filter((line) => line.startsWith('ready'));
    t.deepEqual(ready.map((line) => line.replace(/ \(pid.*/, '')).sort(), [
      `ready: block server 0 at 127.0.0.2:${port}`,
      `ready: block server 1 at 127.0.0.3:${port}`,
      `ready: block server 2 at 127.0.0.2:${port + 1}`,
      `ready: block server 3 at 127.0.0.3:${port + 1}`,
    ]);
    child.kill('SIGTERM');
    t.not(await all.ended, null);
    for (const line of ready) {
      const pid = /\(pid (\d+)/.exec(line)?.[1] ?? '';
      t.false(existsSync(`/proc/${pid}`), line);
    }
  },
);
