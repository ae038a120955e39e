import test from 'ava';
import { Errno } from '../../../../src/errno.ts';
import {
  deviceOpenError,
  fusermountError,
  fusermountMessage,
  fusermountUnmountError,
  missingCapability,
  missingFusermount,
  mountCallError,
  mountPointError,
  saysBusy,
  unmountCallError,
  unmountCapabilityError,
} from '../../../../src/fs/fuse/mount-error.ts';

const root = { uid: 0, mayMount: true };
const user = { uid: 1000, mayMount: false };

test('a device that cannot be opened says who can help', (t) => {
  t.regex(deviceOpenError(Errno.ENOENT, root).message, /modprobe fuse.*--device \/dev\/fuse/);
  t.regex(deviceOpenError(Errno.EACCES, user).message, /ask root.*chmod 0666/);
  t.regex(deviceOpenError(Errno.EPERM, root).message, /--device \/dev\/fuse/);
  t.regex(deviceOpenError(Errno.ENODEV, root).message, /no FUSE driver/);
});

test('each message is one line', (t) => {
  const errors = [
    ...Object.values(Errno).flatMap((errno) => [
      deviceOpenError(errno, root),
      deviceOpenError(errno, user),
      mountCallError(errno, '/m'),
      unmountCallError(errno, '/m'),
    ]),
    ...Object.keys(Errno).map((code) => mountPointError(code, '/m')),
    missingCapability(),
    missingFusermount(),
    missingFusermount(deviceOpenError(Errno.EACCES, user)),
    unmountCapabilityError('/m'),
    fusermountUnmountError('', '/m'),
    fusermountError('fusermount3: one\nfusermount3: two\n', '/m'),
  ];
  for (const { name, message } of errors) {
    t.is(name, 'MountError');
    t.regex(message, /^\S[^\n]+[^.\n]$/);
  }
});

test('what fusermount says is turned into what to do', (t) => {
  const explain = (stderr: string): string => fusermountError(stderr, '/m').message;
  t.regex(
    explain(
      "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf\n",
    ),
    /ask root to add the line 'user_allow_other'/,
  );
  t.regex(
    explain('fusermount3: user has no write access to mountpoint /m\n'),
    /^You may not write to \/m/,
  );
  t.regex(
    explain('/usr/bin/fusermount: mount failed: Operation not permitted\n'),
    /set-uid root.*--cap-add SYS_ADMIN/,
  );
  t.regex(explain('fusermount3: failed to open /dev/fuse: Permission denied\n'), /chmod 0666/);
  t.regex(explain("fusermount3: fuse device not found, try 'modprobe fuse' first\n"), /missing/);
  t.regex(
    explain('fusermount3: mountpoint /m not owned by user\n'),
    /belongs to another user.*of your own/,
  );
  t.regex(explain('fusermount3: could not determine username\n'), /not in \/etc\/passwd/);
  t.is(explain('fusermount3: odd\n'), 'fusermount could not mount on /m: odd');
  t.is(explain(''), 'fusermount could not mount on /m: it gave no reason');
});

test("the cause is the last line of fusermount's complaint", (t) => {
  t.is(fusermountMessage('fusermount3: a warning\nfusermount3: the cause\n\n'), 'the cause');
  t.true(saysBusy('fusermount3: failed to unmount /m: Device or resource busy\n'));
  t.false(saysBusy('fusermount3: entry for /m not found in /etc/mtab\n'));
});

test('what keeps fusermount from unmounting is turned into what to do', (t) => {
  const explain = (stderr: string): string => fusermountUnmountError(stderr, '/m').message;
  t.regex(
    explain('fusermount3: entry for /m not found in /etc/mtab\n'),
    /^You may not unmount \/m: do it as root or as the user/,
  );
  t.regex(
    explain('fusermount3: failed to open /etc/mtab: No such file or directory\n'),
    /ln -s \.\.\/proc\/self\/mounts \/etc\/mtab/,
  );
  t.is(explain('fusermount3: odd\n'), '/m was not unmounted: odd');
});

test('a user without fusermount is told at once that the device is closed to them, too', (t) => {
  const { message } = missingFusermount(deviceOpenError(Errno.EACCES, user));
  t.regex(message, /apt-get install fuse3.*chmod 0666/);
});
