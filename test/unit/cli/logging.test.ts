import test from 'ava';
import { UsageError } from '../../../src/cli/errors.ts';
import { logDirectories, logFileName, parseLogLevels } from '../../../src/cli/logging.ts';

test('log levels are one for all, and others for named components', (t) => {
  t.deepEqual(parseLogLevels('info', false), { level: 'info', components: {} });
  t.deepEqual(parseLogLevels('WARN,meta=debug', false), {
    level: 'warn',
    components: { meta: 'debug' },
  });
});

test('--debug-fuse raises the level of the component fuse alone', (t) => {
  t.deepEqual(parseLogLevels('error', true), { level: 'error', components: { fuse: 'debug' } });
  t.deepEqual(parseLogLevels('info,fuse=trace', true).components, { fuse: 'trace' });
});

for (const text of ['', 'loud', 'info,', 'meta=', '=info', 'meta=loud']) {
  test(`log level "${text}" is refused`, (t) => {
    t.throws(() => parseLogLevels(text, false), { instanceOf: UsageError });
  });
}

test('root logs below /var/log, users in their state directory, either has a fallback', (t) => {
  const user = { uid: 1000, home: '/home/ann', runDirectory: '/run/user/1000/imssfs' };
  t.deepEqual(logDirectories({ ...user, uid: 0 }, {}), ['/var/log/imssfs', '/run/user/1000/imssfs/log']); // prettier-ignore
  t.is(logDirectories(user, {})[0], '/home/ann/.local/state/imssfs');
  t.is(logDirectories(user, { XDG_STATE_HOME: '/s' })[0], '/s/imssfs');
  t.is(logDirectories(user, { XDG_STATE_HOME: 'relative' })[0], '/home/ann/.local/state/imssfs');
  t.deepEqual(logDirectories({ ...user, home: undefined }, {}), ['/run/user/1000/imssfs/log']);
  for (const home of ['', 'relative']) {
    t.deepEqual(logDirectories({ ...user, home }, {}), ['/run/user/1000/imssfs/log']);
  }
});

test('a log is named after its mount point, whatever bytes that has', (t) => {
  t.is(logFileName(Buffer.from('/mnt/imss')), 'mnt-imss.log');
  t.is(logFileName(Buffer.from('/')), 'root.log');
  t.is(logFileName(Buffer.from('/a b/\n')), 'a_b-_012.log');
  t.true(logFileName(Buffer.from('/'.padEnd(3000, 'x'))).length < 255);
});
