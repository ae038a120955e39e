/** What the thing under test can do; the generator leaves out the rest. */

export interface Features {
  /** Processes of several users, and chroot, so that `..` and absolute paths stay inside. Needs root. */
  users: boolean;
  /** Times to the nanosecond; otherwise whole seconds are set. */
  nanoseconds: boolean;
  /** utimensat(2) may set one time and leave the other. */
  singleTimes: boolean;
  /** RENAME_NOREPLACE and RENAME_EXCHANGE. */
  renameFlags: boolean;
  /** Names are bytes, not text. */
  nonUtf8Names: boolean;
  /** Extended attributes. */
  xattrs: boolean;
  /** FIFOs, sockets, and, for root, device nodes. */
  specialFiles: boolean;
  /** O_DIRECT is accepted, whatever the alignment. */
  directIo: boolean;
  /** mmap(2), shared and writable. */
  mappings: boolean;
}

export const ALL_FEATURES: Features = {
  users: true,
  nanoseconds: true,
  singleTimes: true,
  renameFlags: true,
  nonUtf8Names: true,
  xattrs: true,
  specialFiles: true,
  directIo: true,
  mappings: true,
};
