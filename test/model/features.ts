/** What both sides can do here; the generator leaves out the rest. Whatever is not named here, both must be able to. */

export interface Features {
  /** Processes of several users, and chroot, so that `..` and absolute paths stay inside. Needs root. */
  users: boolean;
  /** Extended attributes, also of users. */
  xattrs: boolean;
  /** O_DIRECT is accepted, whatever the alignment. */
  directIo: boolean;
}

export const ALL_FEATURES: Features = {
  users: true,
  xattrs: true,
  directIo: true,
};
