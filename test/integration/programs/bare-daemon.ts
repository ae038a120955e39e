/**
 * A program for tests: mounts at argv[2], answers just enough requests for an empty root directory, and does what
 * its parent tells it over IPC. Everything goes through KernelDevice and mountFuse.
 */
import { KernelDevice } from '../../../src/fs/fuse/device.ts';
import { mountFuse } from '../../../src/fs/fuse/mount.ts';

/** What the parent may ask for. */
export type Command = 'read INIT' | 'serve' | 'unmount' | 'abort' | 'exit';
/** What the parent is told. */
export type Report =
  | { event: 'mounted'; minor: number }
  | { event: 'failed'; name: string; message: string }
  | { event: 'first request'; opcode: number; minor: number; length: number }
  | { event: 'unmounted' }
  | { event: 'gone' };

const Opcode = { FORGET: 2, GETATTR: 3, STATFS: 17, INIT: 26, INTERRUPT: 36, BATCH_FORGET: 42 };
const ENOSYS = 38;

function tell(report: Report): void {
  process.send?.(report);
}

function tellFailure(error: unknown): void {
  const { name, message } = error as Error;
  tell({ event: 'failed', name, message });
}

/** Bodies of `fuse_init_out`, `fuse_attr_out` and `fuse_statfs_out`. */
function body(opcode: number): Buffer | undefined {
  if (opcode === Opcode.INIT) {
    const init = Buffer.alloc(64);
    init.writeUInt32LE(7, 0);
    init.writeUInt32LE(31, 4);
    init.writeUInt32LE(4096, 20); // max_write
    return init;
  }
  if (opcode === Opcode.GETATTR) {
    const attributes = Buffer.alloc(104);
    attributes.writeUInt32LE(1, 16); // ino
    attributes.writeUInt32LE(0o40755, 76); // mode
    attributes.writeUInt32LE(2, 80); // nlink
    return attributes;
  }
  return opcode === Opcode.STATFS ? Buffer.alloc(80) : undefined;
}

function answer(device: KernelDevice): void {
  const opcode = device.head.readUInt32LE(4);
  const silent = [Opcode.FORGET, Opcode.INTERRUPT, Opcode.BATCH_FORGET];
  if (silent.includes(opcode)) return;
  const content = body(opcode);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + (content?.length ?? 0), 0);
  header.writeInt32LE(content === undefined ? -ENOSYS : 0, 4);
  device.head.copy(header, 8, 8, 16); // unique
  device.write(content === undefined ? [header] : [header, content]);
}

const payload = Buffer.alloc(8192);

function readInit(device: KernelDevice): void {
  let served = false;
  device.watch({
    onReadable: () => {
      const length = device.read(payload);
      if (length === 0 || served) return false;
      served = true;
      const { head } = device;
      tell({
        event: 'first request',
        opcode: head.readUInt32LE(4),
        minor: head.readUInt32LE(44),
        length,
      });
      return false;
    },
    onGone: () => {
      tell({ event: 'gone' });
    },
    onBug: tellFailure,
  });
}

function serve(device: KernelDevice): void {
  device.watch({
    onReadable: () => {
      while (device.read(payload) > 0) answer(device);
      return false;
    },
    onGone: () => {
      tell({ event: 'gone' });
    },
    onBug: tellFailure,
  });
}

/** A test run that was killed must not leave daemons behind. */
function endWithParent(): void {
  process.exit(1);
}

async function main(): Promise<void> {
  const mount = await mountFuse({
    mountPoint: Buffer.from(process.argv[2] ?? '', 'hex'),
    source: 'imss://',
    readOnly: false,
    allowOther: process.argv[3] === 'allow_other',
    defaultPermissions: true,
    acl: false,
    genericOptions: ['nosuid', 'nodev', 'noatime'],
  });
  const device = new KernelDevice(mount.fd);
  const commands: Record<Command, () => Promise<void> | void> = {
    'read INIT': () => {
      readInit(device);
    },
    serve: () => {
      serve(device);
    },
    unmount: async () => {
      await mount.unmount('plain');
      tell({ event: 'unmounted' });
    },
    abort: () => {
      device.abort();
    },
    // No process.exit(): the test is that nothing keeps the process alive.
    exit: async () => {
      process.off('disconnect', endWithParent);
      await device.close();
      process.disconnect();
    },
  };
  process.once('disconnect', endWithParent);
  process.on('message', (command: Command) => {
    Promise.resolve(commands[command]()).catch(tellFailure);
  });
  tell({ event: 'mounted', minor: mount.minor });
}

main().catch((error: unknown) => {
  tellFailure(error);
  process.disconnect();
});
