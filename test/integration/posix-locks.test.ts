/** Locks between processes of one mount: of a lone one the kernel keeps them, of a shared one a metadata server. */
import { isPending, Locker } from '../support/locker.ts';
import { mountTest } from '../support/mount.ts';
import { killNow } from '../support/processes.ts';

/** Two processes that have the file open as descriptor 3. */
async function withTwo(
  path: string,
  body: (one: Locker, two: Locker) => Promise<void>,
): Promise<void> {
  await Locker.with(2, async (one: Locker, two: Locker) => {
    for (const locker of [one, two]) await locker.do(`open ${path}`);
    await body(one, two);
  });
}

mountTest(
  'flock: shared and exclusive, conversion, duplicates, end of the process',
  async (t, mount) => {
    await withTwo(mount.at('f'), async (one, two) => {
      t.is(await one.do('flock 3 SH NB'), 'ok');
      t.is(await two.do('flock 3 SH NB'), 'ok');
      t.is(await two.do('flock 3 EX NB'), 'EAGAIN');
      t.is(await one.do('flock 3 EX NB'), 'ok');
      t.is(await one.do('dup 3'), '4');
      t.is(await one.do('close 3'), 'ok');
      const waiting = two.do('flock 3 SH');
      t.true(await isPending(waiting));
      t.is(await one.do('close 4'), 'ok');
      t.is(await waiting, 'ok');
      await one.do(`open ${mount.at('f')}`);
      const second = one.do('flock 3 EX');
      t.true(await isPending(second));
      killNow(two.pid);
      t.is(await second, 'ok');
    });
  },
);

mountTest(
  'fcntl: ranges are split and merged, tested, waited for, and go with any close',
  async (t, mount) => {
    await withTwo(mount.at('f'), async (one, two) => {
      t.is(await one.do('set 3 posix W 0 100'), 'ok');
      t.is(await one.do('set 3 posix U 40 20'), 'ok');
      t.is(await one.do('set 3 posix R 60 10'), 'ok');
      t.is(await two.do('test 3 posix W 0 0'), `W 0 40 ${one.pid}`);
      t.is(await two.do('test 3 posix W 40 0'), `R 60 10 ${one.pid}`);
      t.is(await two.do('test 3 posix R 40 30'), 'U');
      t.is(await two.do('set 3 posix W 40 20'), 'ok');
      t.is(await two.do('set 3 posix R 65 10'), 'EAGAIN');
      t.is(await one.do('set 3 posix W 1000 0'), 'ok');
      t.is(await two.do('test 3 posix R 500 9223372036854775307'), `W 1000 0 ${one.pid}`);
      const waiting = two.do('wait 3 posix W 70 5');
      t.true(await isPending(waiting));
      two.interrupt();
      t.is(await waiting, 'EINTR');
      await one.do(`open ${mount.at('f')}`);
      t.is(await one.do('close 4'), 'ok');
      t.is(await two.do('set 3 posix W 0 0'), 'ok');
    });
  },
);

mountTest('fcntl: who would wait in a circle gets EDEADLK', async (t, mount) => {
  await withTwo(mount.at('f'), async (one, two) => {
    t.is(await one.do('set 3 posix W 0 1'), 'ok');
    t.is(await two.do('set 3 posix W 1 1'), 'ok');
    const waiting = one.do('wait 3 posix W 1 1');
    t.true(await isPending(waiting));
    t.is(await two.do('wait 3 posix W 0 1'), 'EDEADLK');
    killNow(two.pid);
    t.is(await waiting, 'ok');
  });
});

mountTest(
  'open file descriptions lock for themselves, until their last descriptor is closed',
  async (t, mount) => {
    await withTwo(mount.at('f'), async (one, two) => {
      t.is(await one.do('set 3 ofd W 0 10'), 'ok');
      t.is(await one.do(`open ${mount.at('f')}`), '4');
      t.is(await one.do('set 4 ofd R 5 1'), 'EAGAIN');
      t.is(await one.do('set 4 posix R 5 1'), 'EAGAIN');
      t.is(await one.do('close 4'), 'ok');
      t.is(await two.do('set 3 ofd R 5 1'), 'EAGAIN');
      const waiting = two.do('wait 3 ofd R 5 1');
      t.true(await isPending(waiting));
      t.is(await one.do('close 3'), 'ok');
      t.is(await waiting, 'ok');
    });
  },
);

mountTest('the two kinds of locks know nothing of each other', async (t, mount) => {
  await withTwo(mount.at('f'), async (one, two) => {
    t.is(await one.do('flock 3 EX NB'), 'ok');
    t.is(await two.do('set 3 posix W 0 0'), 'ok');
    t.is(await two.do('flock 3 SH NB'), 'EAGAIN');
    t.is(await one.do('set 3 posix R 0 1'), 'EAGAIN');
  });
});
