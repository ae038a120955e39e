/** Makes a tree of everything that a copying program must carry over. */
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { isRoot } from './mount.ts';
import { pattern } from './pattern.ts';
import { sh } from './run.ts';

const MiB = 1024 * 1024;

/** Fills the existing folder `root`; as root with device nodes and foreign owners too. */
export async function makeTree(root: string): Promise<void> {
  const at = (name: string): string => `${root}/${name}`;
  for (const length of [0, 1, 4095, 4096, 4097, MiB - 1, MiB, MiB + 1, 3 * MiB + 5]) {
    writeFileSync(at(`length-${length}`), pattern(length, length));
  }
  for (let folder = 0; folder < 20; folder++) {
    mkdirSync(at(`many/${folder}`), { recursive: true });
    for (let file = 0; file < 30; file++) {
      writeFileSync(at(`many/${folder}/${file}`), pattern(file * 37, folder * 30 + file));
    }
  }
  makeLinks(at);
  makeOddNames(root);
  makeSparse(at('sparse'));
  makeModes(at);
  await sh(`mkfifo -m 620 fifo; ${isRoot ? 'mknod device c 1 3; mknod block b 7 9' : ':'}`, {
    cwd: root,
  });
  await makeTimes(root);
}

function makeLinks(at: (name: string) => string): void {
  mkdirSync(at('links'));
  for (let i = 0; i < 5; i++) linkSync(at('length-4097'), at(`links/hard-${i}`));
  symlinkSync('../length-1', at('links/relative'));
  symlinkSync('/nowhere/at/all', at('links/dangling'));
  symlinkSync('loop', at('links/loop'));
  symlinkSync('x/'.repeat(2047), at('links/long'));
  linkSync(at('links/long'), at('links/long-too'));
}

function makeOddNames(root: string): void {
  const names = [
    ...[[0xff], [0xfe, 0x80], [0xc3, 0x28]].map((bytes) => Buffer.from(bytes)),
    ...[
      'with blank',
      'new\nline',
      '%41',
      'A',
      'é',
      'e\u0301',
      'back\\slash',
      '-dash',
      '日本',
      '\u0001',
    ].map((name) => Buffer.from(name)),
    Buffer.from('n'.repeat(255)),
  ];
  mkdirSync(`${root}/names`);
  for (const name of names) {
    writeFileSync(Buffer.concat([Buffer.from(`${root}/names/`), name]), name);
  }
}

function makeSparse(path: string): void {
  const fd = openSync(path, 'w');
  writeSync(fd, pattern(5000, 1), 0, 5000, 2 * MiB - 1000);
  writeSync(fd, pattern(10, 2), 0, 10, 64 * MiB);
  closeSync(fd);
}

function makeModes(at: (name: string) => string): void {
  mkdirSync(at('modes'));
  for (const mode of [0, 0o1, 0o400, 0o444, 0o755, 0o1666, 0o2755, 0o4711, 0o7777]) {
    const path = at(`modes/${mode.toString(8)}`);
    writeFileSync(path, 'x');
    if (isRoot) chownSync(path, mode, mode + 1);
    chmodSync(path, isRoot ? mode : mode | 0o400);
    mkdirSync(`${path}-folder`);
    chmodSync(`${path}-folder`, mode | 0o700);
  }
}

/** Old, future and fractional times, on files, links and folders; last, because making entries moves them. */
async function makeTimes(root: string): Promise<void> {
  await sh(
    `mkdir times; cd times
     for stamp in 1901-02-03T04:05:06.7 1969-12-31T23:59:58.000000001 1970-01-01 2001-09-09T01:46:40.123456789 \\
       2038-01-20 2106-03-01T00:00:00.999999999 2300-01-01; do
       touch -d $stamp "file-$stamp"; mkdir "folder-$stamp"; ln -s x "link-$stamp"
       touch -h -d $stamp "folder-$stamp" "link-$stamp"
     done
     touch -d 1999-12-31T23:59:59.5 ../many/7 ../links .`,
    { cwd: root },
  );
}
