/** Lets this process be somebody else for a moment. */

/** Runs `body`, which must not wait for anything, as a user who has no other groups; for root to call. */
export function asUser<T>({ uid, gid }: { uid: number; gid: number }, body: () => T): T {
  const { setegid, seteuid, setgroups, getgroups } = process;
  if (!setegid || !seteuid || !setgroups || !getgroups) throw new Error('there are no users here');
  const groups = getgroups();
  setgroups([]);
  setegid(gid);
  seteuid(uid);
  try {
    return body();
  } finally {
    seteuid(0);
    setegid(0);
    setgroups(groups);
  }
}
