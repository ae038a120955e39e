/** Unix sockets bound in the mount, by programs that know nothing of it. */
import { existsSync, lstatSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { mountTest } from '../support/mount.ts';
import { sh } from '../support/run.ts';

mountTest(
  'a Unix socket bound in the mount takes connections until its name is gone',
  async (t, mount) => {
    const path = mount.at('socket');
    const server = createServer((socket) => {
      socket.pipe(socket);
    });
    server.listen(path);
    await once(server, 'listening');
    try {
      t.true(lstatSync(path).isSocket());
      for (const name of ['socket', 'moved']) {
        if (name === 'moved') await sh('mv socket moved', { cwd: mount.path });
        const client = connect(mount.at(name));
        client.end(`hello by ${name}`);
        t.is(await text(client), `hello by ${name}`);
      }
      const refused = connect(path);
      const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
      t.is(error.code, 'ENOENT');
    } finally {
      server.close();
      await once(server, 'close');
    }
    const stale = connect(mount.at('moved'));
    const [error] = (await once(stale, 'error')) as [NodeJS.ErrnoException];
    t.is(error.code, 'ECONNREFUSED');
    t.false(existsSync(path));
  },
);
