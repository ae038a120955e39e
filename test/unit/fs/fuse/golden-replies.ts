/** A reply with each structure, byte by byte, and the values in it. Offsets are a C compiler's (see `header-facts.ts`). */
import {
  FUSE_ATTR_OUT,
  FUSE_BMAP_OUT,
  FUSE_COPY_FILE_RANGE_OUT,
  FUSE_ENTRY_OUT,
  FUSE_GETXATTR_OUT,
  FUSE_INIT_OUT,
  FUSE_IOCTL_OUT,
  FUSE_LK_OUT,
  FUSE_LSEEK_OUT,
  FUSE_OPEN_OUT,
  FUSE_POLL_OUT,
  FUSE_STATFS_OUT,
  FUSE_STATX_OUT,
  FUSE_WRITE_OUT,
} from '../../../../src/fs/fuse/abi.ts';
import type { Decoded, Layout } from '../../../../src/fs/fuse/layout.ts';
import { hex } from './golden-requests.ts';

/** The structure, its values, and the whole reply to the request of `GOLDEN_HEADER`. */
export interface GoldenReply<L extends Layout> {
  readonly layout: L;
  readonly values: Decoded<L>;
  readonly bytes: Buffer;
}

function golden<L extends Layout>(
  layout: L,
  reply: Omit<GoldenReply<L>, 'layout'>,
): GoldenReply<L> {
  return { layout, ...reply };
}

// prettier-ignore
export const GOLDEN_REPLIES = {
  entry: golden(FUSE_ENTRY_OUT, {
    values: { nodeid: 0x20badcafe, generation: 0x3c0ffee, entry_valid: 0x15180, attr_valid: 0xe10, entry_valid_nsec: 1, attr_valid_nsec: 2, attr: { ino: 0x20badcafe, size: 0x100002000, blocks: 0x2345678, atime: -2, mtime: 0x60000001, ctime: 0x1ffffffff, atimensec: 0x3b9ac9ff, mtimensec: 1, ctimensec: 0x12345678, mode: 0o100644, nlink: 2, uid: 0x3e8, gid: 100, rdev: 0x801, blksize: 0x100000, flags: 0 } },
    bytes: hex(`
      90000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      fecaad0b02000000                 // nodeid
      eeffc00300000000                 // generation
      8051010000000000                 // entry_valid
      100e000000000000                 // attr_valid
      01000000                         // entry_valid_nsec
      02000000                         // attr_valid_nsec
      fecaad0b02000000                 // attr.ino
      0020000001000000                 // attr.size
      7856340200000000                 // attr.blocks
      feffffffffffffff                 // attr.atime
      0100006000000000                 // attr.mtime
      ffffffff01000000                 // attr.ctime
      ffc99a3b                         // attr.atimensec
      01000000                         // attr.mtimensec
      78563412                         // attr.ctimensec
      a4810000                         // attr.mode
      02000000                         // attr.nlink
      e8030000                         // attr.uid
      64000000                         // attr.gid
      01080000                         // attr.rdev
      00001000                         // attr.blksize
      00000000                         // attr.flags
    `),
  }),
  attr: golden(FUSE_ATTR_OUT, {
    values: { attr_valid: 0xe10, attr_valid_nsec: 2, attr: { ino: 0x20badcafe, size: 0x100002000, blocks: 0x2345678, atime: -2, mtime: 0x60000001, ctime: 0x1ffffffff, atimensec: 0x3b9ac9ff, mtimensec: 1, ctimensec: 0x12345678, mode: 0o100644, nlink: 2, uid: 0x3e8, gid: 100, rdev: 0x801, blksize: 0x100000, flags: 0 } },
    bytes: hex(`
      78000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      100e000000000000                 // attr_valid
      02000000                         // attr_valid_nsec
      00000000                         // dummy
      fecaad0b02000000                 // attr.ino
      0020000001000000                 // attr.size
      7856340200000000                 // attr.blocks
      feffffffffffffff                 // attr.atime
      0100006000000000                 // attr.mtime
      ffffffff01000000                 // attr.ctime
      ffc99a3b                         // attr.atimensec
      01000000                         // attr.mtimensec
      78563412                         // attr.ctimensec
      a4810000                         // attr.mode
      02000000                         // attr.nlink
      e8030000                         // attr.uid
      64000000                         // attr.gid
      01080000                         // attr.rdev
      00001000                         // attr.blksize
      00000000                         // attr.flags
    `),
  }),
  open: golden(FUSE_OPEN_OUT, {
    values: { fh: 0x1122334455, open_flags: 67, backing_id: -1 },
    bytes: hex(`
      20000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      5544332211000000                 // fh
      43000000                         // open_flags
      ffffffff                         // backing_id
    `),
  }),
  write: golden(FUSE_WRITE_OUT, {
    values: { size: 0x1000 },
    bytes: hex(`
      18000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      00100000                         // size
      00000000                         // padding
    `),
  }),
  statfs: golden(FUSE_STATFS_OUT, {
    values: { st: { blocks: 0x2345678, bfree: 0x2222222, bavail: 0x1111111, files: 0x3333333, ffree: 0x3000000, bsize: 0x100000, namelen: 255, frsize: 0x1000 } },
    bytes: hex(`
      60000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      7856340200000000                 // st.blocks
      2222220200000000                 // st.bfree
      1111110100000000                 // st.bavail
      3333330300000000                 // st.files
      0000000300000000                 // st.ffree
      00001000                         // st.bsize
      ff000000                         // st.namelen
      00100000                         // st.frsize
      00000000                         // st.padding
      00000000000000000000000000000000 // st.spare
      0000000000000000                 // st.spare, continued
    `),
  }),
  getxattr: golden(FUSE_GETXATTR_OUT, {
    values: { size: 0x1000 },
    bytes: hex(`
      18000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      00100000                         // size
      00000000                         // padding
    `),
  }),
  init: golden(FUSE_INIT_OUT, {
    values: { major: 7, minor: 45, max_readahead: 0x20000, flags: 0x7300a03b, max_background: 64, congestion_threshold: 48, max_write: 0x100000, time_gran: 1, max_pages: 256, map_alignment: 12, flags2: 16, max_stack_depth: 2, request_timeout: 0x1234 },
    bytes: hex(`
      50000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      07000000                         // major
      2d000000                         // minor
      00000200                         // max_readahead
      3ba00073                         // flags
      4000                             // max_background
      3000                             // congestion_threshold
      00001000                         // max_write
      01000000                         // time_gran
      0001                             // max_pages
      0c00                             // map_alignment
      10000000                         // flags2
      02000000                         // max_stack_depth
      3412                             // request_timeout
      00000000000000000000000000000000 // unused
      000000000000                     // unused, continued
    `),
  }),
  lk: golden(FUSE_LK_OUT, {
    values: { lk: { start: 0x100002000, end: 0x100002fff, type: 1, pid: 0x1f90 } },
    bytes: hex(`
      28000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      0020000001000000                 // lk.start
      ff2f000001000000                 // lk.end
      01000000                         // lk.type
      901f0000                         // lk.pid
    `),
  }),
  bmap: golden(FUSE_BMAP_OUT, {
    values: { block: 0x123456789a },
    bytes: hex(`
      18000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      9a78563412000000                 // block
    `),
  }),
  ioctl: golden(FUSE_IOCTL_OUT, {
    values: { result: -5, flags: 0, in_iovs: 1, out_iovs: 2 },
    bytes: hex(`
      20000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      fbffffff                         // result
      00000000                         // flags
      01000000                         // in_iovs
      02000000                         // out_iovs
    `),
  }),
  poll: golden(FUSE_POLL_OUT, {
    values: { revents: 65 },
    bytes: hex(`
      18000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      41000000                         // revents
      00000000                         // padding
    `),
  }),
  lseek: golden(FUSE_LSEEK_OUT, {
    values: { offset: 0x100002000 },
    bytes: hex(`
      18000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      0020000001000000                 // offset
    `),
  }),
  copy_file_range: golden(FUSE_COPY_FILE_RANGE_OUT, {
    values: { bytes_copied: 0x123456789a },
    bytes: hex(`
      18000000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      9a78563412000000                 // bytes_copied
    `),
  }),
  statx: golden(FUSE_STATX_OUT, {
    values: { attr_valid: 0xe10, attr_valid_nsec: 2, flags: 0, stat: { mask: 0x17ff, blksize: 0x100000, attributes: 16, nlink: 2, uid: 0x3e8, gid: 100, mode: 0o100644, ino: 0x20badcafe, size: 0x100002000, blocks: 0x2345678, attributes_mask: 48, atime: { tv_sec: -2, tv_nsec: 0x3b9ac9ff }, btime: { tv_sec: -2, tv_nsec: 0x3b9ac9ff }, ctime: { tv_sec: -2, tv_nsec: 0x3b9ac9ff }, mtime: { tv_sec: -2, tv_nsec: 0x3b9ac9ff }, rdev_major: 8, rdev_minor: 1, dev_major: 259, dev_minor: 3 } },
    bytes: hex(`
      30010000                         // len
      00000000                         // error
      e2beadde01000000                 // unique
      100e000000000000                 // attr_valid
      02000000                         // attr_valid_nsec
      00000000                         // flags
      00000000000000000000000000000000 // spare
      ff170000                         // stat.mask
      00001000                         // stat.blksize
      1000000000000000                 // stat.attributes
      02000000                         // stat.nlink
      e8030000                         // stat.uid
      64000000                         // stat.gid
      a481                             // stat.mode
      0000                             // stat.__spare0
      fecaad0b02000000                 // stat.ino
      0020000001000000                 // stat.size
      7856340200000000                 // stat.blocks
      3000000000000000                 // stat.attributes_mask
      feffffffffffffff                 // stat.atime.tv_sec
      ffc99a3b                         // stat.atime.tv_nsec
      00000000                         // stat.atime.__reserved
      feffffffffffffff                 // stat.btime.tv_sec
      ffc99a3b                         // stat.btime.tv_nsec
      00000000                         // stat.btime.__reserved
      feffffffffffffff                 // stat.ctime.tv_sec
      ffc99a3b                         // stat.ctime.tv_nsec
      00000000                         // stat.ctime.__reserved
      feffffffffffffff                 // stat.mtime.tv_sec
      ffc99a3b                         // stat.mtime.tv_nsec
      00000000                         // stat.mtime.__reserved
      08000000                         // stat.rdev_major
      01000000                         // stat.rdev_minor
      03010000                         // stat.dev_major
      03000000                         // stat.dev_minor
      00000000000000000000000000000000 // stat.__spare2
      00000000000000000000000000000000 // stat.__spare2, continued
      00000000000000000000000000000000 // stat.__spare2, continued
      00000000000000000000000000000000 // stat.__spare2, continued
      00000000000000000000000000000000 // stat.__spare2, continued
      00000000000000000000000000000000 // stat.__spare2, continued
      00000000000000000000000000000000 // stat.__spare2, continued
    `),
  }),
};
