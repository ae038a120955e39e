/**
 * One request of every kind, byte by byte, and what it must decode to. The bytes follow the offsets that a C
 * compiler gives (see `header-facts.ts`); padding is filled with a5, which must not show up anywhere.
 */
import type { InputOf, OperationName } from '../../../../src/fs/fuse/abi.ts';

/** A request's bytes, and its parts once decoded; names and data in hexadecimal. */
export interface GoldenRequest<N extends OperationName> {
  readonly bytes: Buffer;
  readonly input: InputOf<N>;
  readonly names: readonly string[];
  readonly data: string;
}

/** Bytes from hexadecimal digits; white space and what follows `//` do not count. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\/\/.*$/gm, '').replace(/\s/g, ''), 'hex');
}

/** What all headers below say, but for length, opcode and extensions. */
export const GOLDEN_HEADER = {
  unique: { low: 0xdeadbee2, high: 1 },
  uniqueKey: 0x1deadbee2,
  nodeid: 0x10badcafe,
  uid: 1000,
  gid: 100,
  pid: 0x1f90,
};

/** As a kernel of 7.45 sends them, with SETXATTR_EXT negotiated. */
// prettier-ignore
export const GOLDEN_REQUESTS: { readonly [N in OperationName]: GoldenRequest<N> } = {
  LOOKUP: {
    bytes: hex(`
      2e000000                         // len
      01000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      6e61ff6d6500                     // name
    `),
    input: undefined,
    names: ['6e61ff6d65'],
    data: '',
  },
  FORGET: {
    bytes: hex(`
      30000000                         // len
      02000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      0300000000000000                 // nlookup
    `),
    input: { nlookup: 3 },
    names: [],
    data: '',
  },
  GETATTR: {
    bytes: hex(`
      38000000                         // len
      03000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      01000000                         // getattr_flags
      a5a5a5a5                         // dummy
      5544332211000000                 // fh
    `),
    input: { getattr_flags: 1, fh: 0x1122334455 },
    names: [],
    data: '',
  },
  SETATTR: {
    bytes: hex(`
      80000000                         // len
      04000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      ff070000                         // valid
      a5a5a5a5                         // padding
      5544332211000000                 // fh
      0020000001000000                 // size
      efbeaddecefaedfe                 // lock_owner
      feffffffffffffff                 // atime
      0100006000000000                 // mtime
      ffffffff01000000                 // ctime
      ffc99a3b                         // atimensec
      01000000                         // mtimensec
      78563412                         // ctimensec
      a4810000                         // mode
      a5a5a5a5                         // unused4
      e8030000                         // uid
      64000000                         // gid
      a5a5a5a5                         // unused5
    `),
    input: { valid: 0x7ff, fh: 0x1122334455, size: 0x100002000, lock_owner: { low: 0xdeadbeef, high: 0xfeedface }, atime: -2, mtime: 0x60000001, ctime: 0x1ffffffff, atimensec: 0x3b9ac9ff, mtimensec: 1, ctimensec: 0x12345678, mode: 0o100644, uid: 0x3e8, gid: 100 },
    names: [],
    data: '',
  },
  READLINK: {
    bytes: hex(`
      28000000                         // len
      05000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
    `),
    input: undefined,
    names: [],
    data: '',
  },
  SYMLINK: {
    bytes: hex(`
      31000000                         // len
      06000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      6e61ff6d6500                     // first name
      746f00                           // second name
    `),
    input: undefined,
    names: ['6e61ff6d65', '746f'],
    data: '',
  },
  MKNOD: {
    bytes: hex(`
      3e000000                         // len
      08000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      a4810000                         // mode
      01080000                         // rdev
      12000000                         // umask
      a5a5a5a5                         // padding
      6e61ff6d6500                     // name
    `),
    input: { mode: 0o100644, rdev: 0x801, umask: 0o22 },
    names: ['6e61ff6d65'],
    data: '',
  },
  MKDIR: {
    bytes: hex(`
      36000000                         // len
      09000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      ed010000                         // mode
      12000000                         // umask
      6e61ff6d6500                     // name
    `),
    input: { mode: 0o755, umask: 0o22 },
    names: ['6e61ff6d65'],
    data: '',
  },
  UNLINK: {
    bytes: hex(`
      2e000000                         // len
      0a000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      6e61ff6d6500                     // name
    `),
    input: undefined,
    names: ['6e61ff6d65'],
    data: '',
  },
  RMDIR: {
    bytes: hex(`
      2e000000                         // len
      0b000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      6e61ff6d6500                     // name
    `),
    input: undefined,
    names: ['6e61ff6d65'],
    data: '',
  },
  RENAME: {
    bytes: hex(`
      39000000                         // len
      0c000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      fecaad0b02000000                 // newdir
      6e61ff6d6500                     // first name
      746f00                           // second name
    `),
    input: { newdir: 0x20badcafe },
    names: ['6e61ff6d65', '746f'],
    data: '',
  },
  LINK: {
    bytes: hex(`
      36000000                         // len
      0d000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      fecaad0b02000000                 // oldnodeid
      6e61ff6d6500                     // name
    `),
    input: { oldnodeid: 0x20badcafe },
    names: ['6e61ff6d65'],
    data: '',
  },
  OPEN: {
    bytes: hex(`
      30000000                         // len
      0e000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      01880000                         // flags
      01000000                         // open_flags
    `),
    input: { flags: 0x8801, open_flags: 1 },
    names: [],
    data: '',
  },
  READ: {
    bytes: hex(`
      50000000                         // len
      0f000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      0020000001000000                 // offset
      00100000                         // size
      02000000                         // read_flags
      efbeaddecefaedfe                 // lock_owner
      01880000                         // flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, offset: 0x100002000, size: 0x1000, read_flags: 2, lock_owner: { low: 0xdeadbeef, high: 0xfeedface }, flags: 0x8801 },
    names: [],
    data: '',
  },
  WRITE: {
    bytes: hex(`
      55000000                         // len
      10000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      0020000001000000                 // offset
      05000000                         // size
      05000000                         // write_flags
      efbeaddecefaedfe                 // lock_owner
      01880000                         // flags
      a5a5a5a5                         // padding
      68656c6c6f                       // data
    `),
    input: { fh: 0x1122334455, offset: 0x100002000, size: 5, write_flags: 5, lock_owner: { low: 0xdeadbeef, high: 0xfeedface }, flags: 0x8801 },
    names: [],
    data: '68656c6c6f',
  },
  STATFS: {
    bytes: hex(`
      28000000                         // len
      11000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
    `),
    input: undefined,
    names: [],
    data: '',
  },
  RELEASE: {
    bytes: hex(`
      40000000                         // len
      12000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      01880000                         // flags
      02000000                         // release_flags
      efbeaddecefaedfe                 // lock_owner
    `),
    input: { fh: 0x1122334455, flags: 0x8801, release_flags: 2, lock_owner: { low: 0xdeadbeef, high: 0xfeedface } },
    names: [],
    data: '',
  },
  FSYNC: {
    bytes: hex(`
      38000000                         // len
      14000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      01000000                         // fsync_flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, fsync_flags: 1 },
    names: [],
    data: '',
  },
  SETXATTR: {
    bytes: hex(`
      41000000                         // len
      15000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      03000000                         // size
      01000000                         // flags
      01000000                         // setxattr_flags
      a5a5a5a5                         // padding
      6e61ff6d6500                     // name
      0076ff                           // data
    `),
    input: { size: 3, flags: 1, setxattr_flags: 1 },
    names: ['6e61ff6d65'],
    data: '0076ff',
  },
  GETXATTR: {
    bytes: hex(`
      36000000                         // len
      16000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      00100000                         // size
      a5a5a5a5                         // padding
      6e61ff6d6500                     // name
    `),
    input: { size: 0x1000 },
    names: ['6e61ff6d65'],
    data: '',
  },
  LISTXATTR: {
    bytes: hex(`
      30000000                         // len
      17000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      00100000                         // size
      a5a5a5a5                         // padding
    `),
    input: { size: 0x1000 },
    names: [],
    data: '',
  },
  REMOVEXATTR: {
    bytes: hex(`
      2e000000                         // len
      18000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      6e61ff6d6500                     // name
    `),
    input: undefined,
    names: ['6e61ff6d65'],
    data: '',
  },
  FLUSH: {
    bytes: hex(`
      40000000                         // len
      19000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      a5a5a5a5                         // unused
      a5a5a5a5                         // padding
      efbeaddecefaedfe                 // lock_owner
    `),
    input: { fh: 0x1122334455, lock_owner: { low: 0xdeadbeef, high: 0xfeedface } },
    names: [],
    data: '',
  },
  INIT: {
    bytes: hex(`
      68000000                         // len
      1a000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      07000000                         // major
      2d000000                         // minor
      00000200                         // max_readahead
      fbffff73                         // flags
      ff070000                         // flags2
      a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 // unused
      a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 // unused, continued
      a5a5a5a5a5a5a5a5a5a5a5a5         // unused, continued
    `),
    input: { major: 7, minor: 45, max_readahead: 0x20000, flags: 0x73fffffb, flags2: 0x7ff },
    names: [],
    data: '',
  },
  OPENDIR: {
    bytes: hex(`
      30000000                         // len
      1b000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      01880000                         // flags
      01000000                         // open_flags
    `),
    input: { flags: 0x8801, open_flags: 1 },
    names: [],
    data: '',
  },
  READDIR: {
    bytes: hex(`
      50000000                         // len
      1c000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      0020000001000000                 // offset
      00100000                         // size
      02000000                         // read_flags
      efbeaddecefaedfe                 // lock_owner
      01880000                         // flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, offset: 0x100002000, size: 0x1000, read_flags: 2, lock_owner: { low: 0xdeadbeef, high: 0xfeedface }, flags: 0x8801 },
    names: [],
    data: '',
  },
  RELEASEDIR: {
    bytes: hex(`
      40000000                         // len
      1d000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      01880000                         // flags
      02000000                         // release_flags
      efbeaddecefaedfe                 // lock_owner
    `),
    input: { fh: 0x1122334455, flags: 0x8801, release_flags: 2, lock_owner: { low: 0xdeadbeef, high: 0xfeedface } },
    names: [],
    data: '',
  },
  FSYNCDIR: {
    bytes: hex(`
      38000000                         // len
      1e000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      01000000                         // fsync_flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, fsync_flags: 1 },
    names: [],
    data: '',
  },
  GETLK: {
    bytes: hex(`
      58000000                         // len
      1f000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      efbeaddecefaedfe                 // owner
      0020000001000000                 // lk.start
      ff2f000001000000                 // lk.end
      01000000                         // lk.type
      901f0000                         // lk.pid
      01000000                         // lk_flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, owner: { low: 0xdeadbeef, high: 0xfeedface }, lk: { start: 0x100002000, end: 0x100002fff, type: 1, pid: 0x1f90 }, lk_flags: 1 },
    names: [],
    data: '',
  },
  SETLK: {
    bytes: hex(`
      58000000                         // len
      20000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      efbeaddecefaedfe                 // owner
      0020000001000000                 // lk.start
      ff2f000001000000                 // lk.end
      01000000                         // lk.type
      901f0000                         // lk.pid
      01000000                         // lk_flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, owner: { low: 0xdeadbeef, high: 0xfeedface }, lk: { start: 0x100002000, end: 0x100002fff, type: 1, pid: 0x1f90 }, lk_flags: 1 },
    names: [],
    data: '',
  },
  SETLKW: {
    bytes: hex(`
      58000000                         // len
      21000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      efbeaddecefaedfe                 // owner
      0020000001000000                 // lk.start
      ff2f000001000000                 // lk.end
      01000000                         // lk.type
      901f0000                         // lk.pid
      01000000                         // lk_flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, owner: { low: 0xdeadbeef, high: 0xfeedface }, lk: { start: 0x100002000, end: 0x100002fff, type: 1, pid: 0x1f90 }, lk_flags: 1 },
    names: [],
    data: '',
  },
  ACCESS: {
    bytes: hex(`
      30000000                         // len
      22000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      06000000                         // mask
      a5a5a5a5                         // padding
    `),
    input: { mask: 6 },
    names: [],
    data: '',
  },
  CREATE: {
    bytes: hex(`
      3e000000                         // len
      23000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      01880000                         // flags
      a4810000                         // mode
      12000000                         // umask
      01000000                         // open_flags
      6e61ff6d6500                     // name
    `),
    input: { flags: 0x8801, mode: 0o100644, umask: 0o22, open_flags: 1 },
    names: ['6e61ff6d65'],
    data: '',
  },
  INTERRUPT: {
    bytes: hex(`
      30000000                         // len
      24000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      e0beadde01000000                 // unique
    `),
    input: { unique: { low: 0xdeadbee0, high: 0x1 } },
    names: [],
    data: '',
  },
  BMAP: {
    bytes: hex(`
      38000000                         // len
      25000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      9a78563412000000                 // block
      00100000                         // blocksize
      a5a5a5a5                         // padding
    `),
    input: { block: 0x123456789a, blocksize: 0x1000 },
    names: [],
    data: '',
  },
  DESTROY: {
    bytes: hex(`
      28000000                         // len
      26000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
    `),
    input: undefined,
    names: [],
    data: '',
  },
  IOCTL: {
    bytes: hex(`
      4c000000                         // len
      27000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      00000000                         // flags
      775804c0                         // cmd
      0df0ad0b0100fe7f                 // arg
      04000000                         // in_size
      08000000                         // out_size
      cafebabe                         // data
    `),
    input: { fh: 0x1122334455, flags: 0, cmd: 0xc0045877, arg: { low: 0xbadf00d, high: 0x7ffe0001 }, in_size: 4, out_size: 8 },
    names: [],
    data: 'cafebabe',
  },
  POLL: {
    bytes: hex(`
      40000000                         // len
      28000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      efbeaddecefaedfe                 // kh
      01000000                         // flags
      45000000                         // events
    `),
    input: { fh: 0x1122334455, kh: { low: 0xdeadbeef, high: 0xfeedface }, flags: 1, events: 69 },
    names: [],
    data: '',
  },
  NOTIFY_REPLY: {
    bytes: hex(`
      55000000                         // len
      29000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      a5a5a5a5a5a5a5a5                 // dummy1
      0020000001000000                 // offset
      05000000                         // size
      a5a5a5a5                         // dummy2
      a5a5a5a5a5a5a5a5                 // dummy3
      a5a5a5a5a5a5a5a5                 // dummy4
      7061676573                       // data
    `),
    input: { offset: 0x100002000, size: 5 },
    names: [],
    data: '7061676573',
  },
  BATCH_FORGET: {
    bytes: hex(`
      50000000                         // len
      2a000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      02000000                         // count
      a5a5a5a5                         // dummy
      fecaad0b02000000                 // [0].nodeid
      0100000000000000                 // [0].nlookup
      fecaad0b03000000                 // [1].nodeid
      0200000001000000                 // [1].nlookup
    `),
    input: { count: 2 },
    names: [],
    data: 'fecaad0b020000000100000000000000fecaad0b030000000200000001000000',
  },
  FALLOCATE: {
    bytes: hex(`
      48000000                         // len
      2b000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      0020000001000000                 // offset
      9a78563412000000                 // length
      03000000                         // mode
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, offset: 0x100002000, length: 0x123456789a, mode: 0o3 },
    names: [],
    data: '',
  },
  READDIRPLUS: {
    bytes: hex(`
      50000000                         // len
      2c000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      0020000001000000                 // offset
      00100000                         // size
      02000000                         // read_flags
      efbeaddecefaedfe                 // lock_owner
      01880000                         // flags
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, offset: 0x100002000, size: 0x1000, read_flags: 2, lock_owner: { low: 0xdeadbeef, high: 0xfeedface }, flags: 0x8801 },
    names: [],
    data: '',
  },
  RENAME2: {
    bytes: hex(`
      41000000                         // len
      2d000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      fecaad0b02000000                 // newdir
      02000000                         // flags
      a5a5a5a5                         // padding
      6e61ff6d6500                     // first name
      746f00                           // second name
    `),
    input: { newdir: 0x20badcafe, flags: 2 },
    names: ['6e61ff6d65', '746f'],
    data: '',
  },
  LSEEK: {
    bytes: hex(`
      40000000                         // len
      2e000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      0020000001000000                 // offset
      03000000                         // whence
      a5a5a5a5                         // padding
    `),
    input: { fh: 0x1122334455, offset: 0x100002000, whence: 3 },
    names: [],
    data: '',
  },
  COPY_FILE_RANGE: {
    bytes: hex(`
      60000000                         // len
      2f000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh_in
      0020000001000000                 // off_in
      fecaad0b02000000                 // nodeid_out
      aa99887766000000                 // fh_out
      0040000003000000                 // off_out
      9a78563412000000                 // len
      0000000000000000                 // flags
    `),
    input: { fh_in: 0x1122334455, off_in: 0x100002000, nodeid_out: 0x20badcafe, fh_out: 0x66778899aa, off_out: 0x300004000, len: 0x123456789a, flags: 0 },
    names: [],
    data: '',
  },
  SETUPMAPPING: {
    bytes: hex(`
      50000000                         // len
      30000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh
      0020000001000000                 // foffset
      9a78563412000000                 // len
      0300000000000000                 // flags
      0040000003000000                 // moffset
    `),
    input: { fh: 0x1122334455, foffset: 0x100002000, len: 0x123456789a, flags: 3, moffset: 0x300004000 },
    names: [],
    data: '',
  },
  REMOVEMAPPING: {
    bytes: hex(`
      4c000000                         // len
      31000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      02000000                         // count
      0010000000000000                 // [0].moffset
      0020000000000000                 // [0].len
      0040000003000000                 // [1].moffset
      0040000000000000                 // [1].len
    `),
    input: { count: 2 },
    names: [],
    data: '0010000000000000002000000000000000400000030000000040000000000000',
  },
  SYNCFS: {
    bytes: hex(`
      30000000                         // len
      32000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      a5a5a5a5a5a5a5a5                 // padding
    `),
    input: {},
    names: [],
    data: '',
  },
  TMPFILE: {
    bytes: hex(`
      3e000000                         // len
      33000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      01880000                         // flags
      a4810000                         // mode
      12000000                         // umask
      01000000                         // open_flags
      6e61ff6d6500                     // name
    `),
    input: { flags: 0x8801, mode: 0o100644, umask: 0o22, open_flags: 1 },
    names: ['6e61ff6d65'],
    data: '',
  },
  STATX: {
    bytes: hex(`
      40000000                         // len
      34000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      01000000                         // getattr_flags
      a5a5a5a5                         // reserved
      5544332211000000                 // fh
      00200000                         // sx_flags
      ff070000                         // sx_mask
    `),
    input: { getattr_flags: 1, fh: 0x1122334455, sx_flags: 0x2000, sx_mask: 0x7ff },
    names: [],
    data: '',
  },
  COPY_FILE_RANGE_64: {
    bytes: hex(`
      60000000                         // len
      35000000                         // opcode
      e2beadde01000000                 // unique
      fecaad0b01000000                 // nodeid
      e8030000                         // uid
      64000000                         // gid
      901f0000                         // pid
      0000                             // total_extlen
      a5a5                             // padding
      5544332211000000                 // fh_in
      0020000001000000                 // off_in
      fecaad0b02000000                 // nodeid_out
      aa99887766000000                 // fh_out
      0040000003000000                 // off_out
      9a78563412000000                 // len
      0000000000000000                 // flags
    `),
    input: { fh_in: 0x1122334455, off_in: 0x100002000, nodeid_out: 0x20badcafe, fh_out: 0x66778899aa, off_out: 0x300004000, len: 0x123456789a, flags: 0 },
    names: [],
    data: '',
  },
};

/** An INIT as kernels before 7.36 send it: 16 bytes of arguments. */
// prettier-ignore
export const OLD_INIT: GoldenRequest<'INIT'> = {
  bytes: hex(`
    38000000                         // len
    1a000000                         // opcode
    e2beadde01000000                 // unique
    fecaad0b01000000                 // nodeid
    e8030000                         // uid
    64000000                         // gid
    901f0000                         // pid
    0000                             // total_extlen
    a5a5                             // padding
    07000000                         // major
    1f000000                         // minor
    00000200                         // max_readahead
    fbffff73                         // flags
  `),
  input: { major: 7, minor: 31, max_readahead: 0x20000, flags: 0x73fffffb, flags2: 0 },
  names: [],
  data: '',
};

/** A SETXATTR without SETXATTR_EXT: 8 bytes of arguments. */
// prettier-ignore
export const PLAIN_SETXATTR: GoldenRequest<'SETXATTR'> = {
  bytes: hex(`
    39000000                         // len
    15000000                         // opcode
    e2beadde01000000                 // unique
    fecaad0b01000000                 // nodeid
    e8030000                         // uid
    64000000                         // gid
    901f0000                         // pid
    0000                             // total_extlen
    a5a5                             // padding
    03000000                         // size
    01000000                         // flags
    6e61ff6d6500                     // name
    0076ff                           // data
  `),
  input: { size: 3, flags: 1, setxattr_flags: 0 },
  names: ['6e61ff6d65'],
  data: '0076ff',
};

/** A CREATE that ends in an extension (FUSE_EXT_GROUPS), which is not part of name or data. */
// prettier-ignore
export const EXTENDED_CREATE: GoldenRequest<'CREATE'> = {
  bytes: hex(`
    4e000000                         // len
    23000000                         // opcode
    e2beadde01000000                 // unique
    fecaad0b01000000                 // nodeid
    e8030000                         // uid
    64000000                         // gid
    901f0000                         // pid
    0200                             // total_extlen
    a5a5                             // padding
    01880000                         // flags
    a4810000                         // mode
    12000000                         // umask
    01000000                         // open_flags
    6e61ff6d6500                     // name
    10000000                         // extension: size
    20000000                         // extension: type FUSE_EXT_GROUPS
    01000000                         // extension: nr_groups
    64000000                         // extension: groups[0]
  `),
  input: { flags: 0x8801, mode: 0o100644, umask: 0o22, open_flags: 1 },
  names: ['6e61ff6d65'],
  data: '',
};
